/** What the mappings and kernels of one pager share. */

import type { AttachedDevice } from "../../device/attached-device.js";
import type { AddressSpace } from "../../mm/space/address-space.js";
import type { Machine } from "../../mm/machine.js";
import type { Residency } from "./residency.js";
import type { Sources } from "./sources.js";

export interface Engine {
  readonly machine: Machine;
  readonly mm: AddressSpace;
  readonly attached: AttachedDevice;
  readonly residency: Residency;
  /** What mapped arrays are read from. */
  readonly sources: Sources;
}
