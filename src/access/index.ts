/** How CPU code reaches pages. */
export { AccessFault, loadWord, storeWord, touch } from "./cpu.js";
export { accessHost, type UseRun } from "./host-access.js";
export { pinPages, type PinnedPages, tryPinPages, unpinPages } from "./host-pins.js";
export { pinLongTerm } from "./long-term-pin.js";
export {
  type HeldRun,
  type SharedGrowth,
  type SharedRegion,
  type SharedView,
  type UserCounters,
  UserMachine,
  type UserPin,
  UserPort,
  UserPorts,
} from "./user-mode/index.js";
