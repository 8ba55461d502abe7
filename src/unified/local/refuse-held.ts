/**
 * Pages that are held where they cannot be used as they are wanted: by pins in host memory, by bindings on the device. Better
 * to say so, by name, before anything has been done.
 */

import { MemoryError } from "../../mm/errors.js";
import { type ElementRange, elementsOn } from "../footprint.js";
import type { Mapping } from "../pager.js";
import type { PinMode } from "../pin.js";
import { nameOf } from "./bound-pages.js";
import type { DeviceEngine } from "./engine.js";
import { findThreadPin } from "./thread-pins.js";

/** An array whose pages are wanted on the device. */
export interface WantedArray {
  readonly label: string;
  readonly mapping: Mapping;
  readonly stride: number;
  /** Elements of the whole array. */
  readonly length: number;
  readonly written: boolean;
}

/** What the array is wanted for, and what of it. */
export interface Wanted {
  readonly array: WantedArray;
  /** For the message: who wants it. */
  readonly by: string;
  readonly elements: ElementRange;
  /** Pages that are pinned for reading only will do where they are. */
  readonly inPlace: boolean;
}

/** Throws EBUSY when `pages` pages of the array from `page` on cannot be on the device, or not be used there. */
export function refuseHeld(engine: DeviceEngine, wanted: Wanted, page: number, pages: number): void {
  refusePinned(engine, wanted, page, pages);
  refuseBound(engine, wanted, page, pages);
}

/** The same, for what can be used wherever it is. */
export function refuseBound({ bound }: DeviceEngine, wanted: Wanted, page: number, pages: number): void {
  const { mapping, written } = wanted.array;
  for (const { range } of bound.within(mapping.page + page, mapping.page + page + pages))
    if (written || range.mode === "write") refuse(wanted, `${nameOf(range)} holds on the device`);
}

function refusePinned({ machine, sharing }: DeviceEngine, wanted: Wanted, page: number, pages: number): void {
  const { array, inPlace } = wanted;
  const { mapping, label } = array;
  const refusePin = (mode: PinMode, { first, length }: ElementRange, whose: string): never =>
    refuse(wanted, `a ${mode} pin of ${first} to ${first + length}${whose} holds in host memory`);
  for (const pin of mapping.pins) {
    if ((pin.mode === "read" && inPlace) || pin.first >= page + pages || pin.end <= page) continue;
    const whose = pin.label === label ? "" : ` of "${pin.label}"`;
    const thread = pin.owner === undefined ? "" : ` by "${pin.owner}"`;
    refusePin(pin.mode, { first: pin.start, length: pin.length }, `${whose}${thread}`);
  }
  if (sharing === null) return;
  const origin = mapping.page;
  findThreadPin(sharing.ports, origin + page, origin + page + pages, inPlace, (mode, first, end, thread) =>
    refusePin(mode, elementsOn(array, first - origin, end - origin, machine.pageSize), ` by "${thread}"`),
  );
}

function refuse({ by, array, elements: { first, length } }: Wanted, holder: string): never {
  throw new MemoryError(
    "EBUSY",
    `${by} needs elements ${first} to ${first + length} of array "${array.label}", on a page that ${holder}`,
  );
}
