/**
 * Long-term pins of a range: what a device that does DMA for long takes. Pages of coherent device memory move to host
 * memory first, since a pin would keep them on the device for ever. Counterpart: `pin_user_pages` with FOLL_LONGTERM.
 */

import type { AddressSpace } from "../mm/space/address-space.js";
import { DMA_PIN, pinPage } from "../mm/fault/gup.js";
import { ZONE_COHERENT } from "../mm/frames/zone.js";
import { migrateDeviceCoherentPage } from "../migrate/device-range.js";

/**
 * Pins pages `[start, end)`, as many from the first on as can be accessed, and returns their frames; unpin each with
 * `machine.put(frame, DMA_PIN)`. Throws EBUSY or ENOMEM, with nothing pinned, when a coherent page cannot move; and the
 * error of the device or the store from which a page cannot be brought.
 */
export async function pinLongTerm(mm: AddressSpace, start: number, end: number, write: boolean): Promise<number[]> {
  const { machine } = mm;
  for (;;) {
    const frames = await pinPages(mm, start, end, write);
    if (!frames.some((frame) => machine.zones.of(frame).kind === ZONE_COHERENT)) return frames;
    await moveCoherentPages(mm, frames);
  }
}

/** As many pins from the first page on as can be had; none when a fault rejects. */
async function pinPages(mm: AddressSpace, start: number, end: number, write: boolean): Promise<number[]> {
  const frames: number[] = [];
  try {
    for (let page = start; page < end; page++) {
      const frame = await pinPage(mm, page, write, DMA_PIN);
      if (frame < 0) break;
      frames.push(frame);
    }
  } catch (error) {
    for (const frame of frames) mm.machine.put(frame, DMA_PIN);
    throw error;
  }
  return frames;
}

/** Drops all pins; each coherent page moves once its pin has become a short reference, which the move consumes. */
async function moveCoherentPages({ machine }: AddressSpace, frames: number[]): Promise<void> {
  try {
    for (let frame = frames.shift(); frame !== undefined; frame = frames.shift()) {
      const coherent = machine.zones.of(frame).kind === ZONE_COHERENT;
      if (coherent) machine.frames.get(frame);
      machine.put(frame, DMA_PIN);
      if (coherent) await migrateDeviceCoherentPage(machine, frame);
    }
  } finally {
    for (const frame of frames) machine.put(frame, DMA_PIN);
  }
}
