/** The memory engine below the protocol: what a driver author or a test sees of it. */

export { AddressSpace } from "./space/address-space.js";
export { Charge } from "./host/charge.js";
export * from "./table/entry.js";
export { type AllocationSite, type Environment, realEnvironment } from "./environment.js";
export { type ErrorCode, InvariantError, MemoryError } from "./errors.js";
export * from "./fault/fault.js";
export * from "./frames/frames.js";
export type { HomeRange } from "./host/home-range.js";
export type { FileBacking, PageCache } from "./file/page-cache.js";
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
} from "./space/mapping.js";
export type { Invalidation, MmuInterval, NotifyEvent } from "./space/notifier.js";
export { AnonVma, Vma } from "./space/vma.js";
export * as vmaFlags from "./space/vma.js";
export {
  type DeviceFault,
  type PageMap,
  type PageMapOps,
  Zone,
  ZONE_COHERENT,
  ZONE_PRIVATE,
  ZONE_SYSTEM,
} from "./frames/zone.js";
export { DMA_PIN, pinPage, SHORT_REFERENCE, tryPinPage } from "./fault/gup.js";
export * from "./fault/hmm.js";
export { letGoOfExclusivePages, makeDeviceExclusiveRange } from "./fault/device-exclusive.js";
export { forkAddressSpace } from "./copy/fork.js";
export { clearSoftDirty, clearSoftDirtyRange } from "./space/soft-dirty.js";
export { snapshotRange } from "./copy/snapshot.js";
export { pageOut } from "./swap/pageout.js";
export { mremap } from "./space/remap.js";
export { createPageCache, swapOn } from "./stores.js";
export type { Swap, SwapStore } from "./swap/swap.js";
export { MemorySwapStore } from "./swap/swap-store.js";
export {
  fillMissing,
  registerUserfault,
  unregisterUserfault,
  type Userfault,
  type UserfaultHandler,
  type UserfaultModes,
  writeProtect,
} from "./fault/userfault.js";
