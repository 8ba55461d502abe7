/**
 * A process of the recorder, in its slot: an address space, a page table for each device, which every process has open,
 * and the references that it keeps to pages.
 */

import type { AddressSpace, Machine } from "../../mm/index.js";
import { MirrorTable } from "./mirror-table.js";
import type { RecordedDevice } from "./recorded-device.js";
import type { Client } from "./recording-driver.js";

export class RecordedProcess {
  /** By device, in order. */
  readonly clients: readonly Client[];
  /** Frames held by `pin`, by the page number that they were had through. */
  readonly pins = new Map<number, number[]>();

  /** `[first, first + pages)` is the mapping under test. */
  constructor(
    readonly slot: number,
    readonly mm: AddressSpace,
    devices: readonly RecordedDevice[],
    first: number,
    pages: number,
  ) {
    this.clients = devices.map((device) => ({ mm, device, table: new MirrorTable(device, first, pages) }));
    for (const { table } of this.clients) mm.notifiers.register(table);
  }

  keepPin(page: number, frame: number): void {
    const frames = this.pins.get(page);
    if (frames === undefined) this.pins.set(page, [frame]);
    else frames.push(frame);
  }

  dropPin(machine: Machine, page: number): void {
    const frame = this.pins.get(page)?.pop();
    if (frame !== undefined) machine.put(frame);
  }

  dropAllPins(machine: Machine): void {
    for (const frames of this.pins.values()) for (const frame of frames) machine.put(frame);
    this.pins.clear();
  }
}
