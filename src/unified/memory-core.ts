/** What the arrays and kernels of one memory share. */

import type { AttachedDevice } from "../device/attached-device.js";
import type { AddressSpace } from "../mm/space/address-space.js";
import type { Machine } from "../mm/machine.js";
import type { OperationQueue } from "./operation-queue.js";
import type { PagedArray } from "./paged-array.js";
import type { PinLeaks } from "./pin-leaks.js";
import type { Residency } from "./residency.js";
import type { Sources } from "./sources.js";

export interface MemoryCore {
  readonly machine: Machine;
  readonly mm: AddressSpace;
  readonly attached: AttachedDevice;
  readonly residency: Residency;
  readonly queue: OperationQueue;
  readonly arrays: Set<PagedArray>;
  /** What mapped arrays are read from. */
  readonly sources: Sources;
  /** With `debug`: watches for pins that are collected unreleased. */
  readonly leaks: PinLeaks | null;
}
