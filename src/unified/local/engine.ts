/** What the mappings and kernels of one pager share. */

import type { AttachedDevice } from "../../device/attached-device.js";
import type { AddressSpace } from "../../mm/space/address-space.js";
import type { Machine } from "../../mm/machine.js";
import type { Operation } from "../operation-queue.js";
import type { ArrayPlace } from "./array-place.js";
import type { BoundPages } from "./bound-pages.js";
import type { LocalMapping } from "./local-mapping.js";
import type { Residency } from "./residency.js";
import type { Sharing } from "./sharing.js";
import type { Sources } from "./sources.js";

export interface Engine {
  readonly machine: Machine;
  readonly mm: AddressSpace;
  readonly attached: AttachedDevice;
  /** Made when something first goes to the device: a part that is loaded on demand. */
  residency: Residency | null;
  /** What the program uses on the device by itself; null before it uses any of it. */
  bound: BoundPages | null;
  /** What mapped arrays are read from. */
  readonly sources: Sources;
  /** Those whose turn to be mapped has not come. */
  readonly unmapped: Set<LocalMapping>;
  /** With the threads of a shared memory; else null. */
  readonly sharing: Sharing | null;
}

/** With all that going to the device takes. */
export interface DeviceEngine extends Engine {
  residency: Residency;
  bound: BoundPages;
}

/** Makes the mapping of a place of so many pages. */
export type MakeMapping = (place: ArrayPlace, pages: number) => LocalMapping;

/** Does an operation's work with nobody else's in between. */
export function alone<T>({ sharing }: Engine, operation: Operation, work: () => Promise<T>): Promise<T> {
  return sharing === null ? work() : sharing.exclusive.run(operation, work);
}
