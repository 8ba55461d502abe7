/**
 * Long-term pins of a range: what a device that does DMA for long takes. Pages of coherent device memory move to host
 * memory first, since a pin would keep them on the device for ever. Counterpart: `pin_user_pages` with FOLL_LONGTERM.
 */

import type { AddressSpace } from "../mm/address-space.js";
import { DMA_PIN, pinPage } from "../mm/gup.js";
import { ZONE_COHERENT } from "../mm/zone.js";
import { migrateDeviceCoherentPage } from "../migrate/device-range.js";

/**
 * Pins pages `[start, end)`, as many from the first on as can be accessed, and returns their frames; unpin each with
 * `machine.put(frame, DMA_PIN)`. Throws EBUSY or ENOMEM, with nothing pinned, when a coherent page cannot move.
 */
export async function pinLongTerm(mm: AddressSpace, start: number, end: number, write: boolean): Promise<number[]> {
  const { machine } = mm;
  for (;;) {
    const frames: number[] = [];
    for (let page = start; page < end; page++) {
      const frame = await pinPage(mm, page, write, DMA_PIN);
      if (frame < 0) break;
      frames.push(frame);
    }
    if (!frames.some((frame) => machine.zones.of(frame).kind === ZONE_COHERENT)) return frames;
    await moveCoherentPages(mm, frames);
  }
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
