/** The memory engine below the protocol: what a driver author or a test sees of it. */

export { AddressSpace } from "./address-space.js";
export { Charge } from "./charge.js";
export * from "./entry.js";
export { type AllocationSite, type Environment, realEnvironment } from "./environment.js";
export { type ErrorCode, InvariantError, MemoryError } from "./errors.js";
export * from "./fault.js";
export * from "./frames.js";
export type { HomeRange } from "./home-range.js";
export { type FileBacking, PageCache } from "./page-cache.js";
export { Machine, type MachineCounters, type MachineOptions } from "./machine.js";
export {
  type Advice,
  dontNeed,
  exitAddressSpace,
  madvise,
  type MapOptions,
  mmap,
  mprotect,
  munmap,
} from "./mapping.js";
export type { Invalidation, MmuInterval, NotifyEvent } from "./notifier.js";
export { AnonVma, Vma } from "./vma.js";
export * as vmaFlags from "./vma.js";
export {
  type DeviceFault,
  type PageMap,
  type PageMapOps,
  Zone,
  ZONE_COHERENT,
  ZONE_PRIVATE,
  ZONE_SYSTEM,
} from "./zone.js";
export { DMA_PIN, pinPage, SHORT_REFERENCE, tryPinPage } from "./gup.js";
export * from "./hmm.js";
export { letGoOfExclusivePages, makeDeviceExclusiveRange } from "./device-exclusive.js";
export { forkAddressSpace } from "./fork.js";
export { clearSoftDirty, clearSoftDirtyRange } from "./soft-dirty.js";
export { snapshotRange } from "./snapshot.js";
export { pageOut } from "./pageout.js";
export { mremap } from "./remap.js";
export { Swap, type SwapStore } from "./swap.js";
export { MemorySwapStore } from "./swap-store.js";
export {
  fillMissing,
  registerUserfault,
  unregisterUserfault,
  type Userfault,
  type UserfaultHandler,
  type UserfaultModes,
  writeProtect,
} from "./userfault.js";
