/** Pageferry: arrays in one address space whose pages live in host or device memory and move to where they are used. */

/// <reference lib="esnext.disposable" preserve="true" />

export { DeviceLostError, type DeviceLostReason } from "./device/device-lost-error.js";
export type { DeviceDriver, HostKernel, KernelRange } from "./device/driver.js";
export type { ElementType, View } from "./device/element.js";
export { KernelError } from "./device/kernel-error.js";
export { mirrorDevice, type MirrorOptions } from "./device/mirror/index.js";
export { type ErrorCode, MemoryError } from "./mm/errors.js";
export { DispatchError } from "./unified/dispatch-error.js";
export type { DeviceBinding, DevicePin } from "./unified/device-pin.js";
export type { Footprint } from "./unified/footprint.js";
export type { DispatchOptions, DispatchReport, Kernel, KernelDescriptor, Progress } from "./unified/kernel.js";
export type { GpuBuffer } from "./unified/gpu-buffer.js";
export type {
  ArrayOptions,
  CopyFromOptions,
  CopyToOptions,
  DirtyRange,
  PagedArray,
  Range,
  ReadOptions,
  WriteOptions,
} from "./unified/paged-array.js";
export type { Place, ResidentRange } from "./unified/resident-range.js";
export type { StreamOptions } from "./unified/array-stream.js";
export type { ChunkSource } from "./unified/write-source.js";
export type { Pin, PinMode, Run } from "./unified/pin.js";
export type { MapSourceOptions } from "./unified/map-options.js";
export type { SwapFileOptions } from "./unified/local/swap-file.js";
export type { SwapStore } from "./mm/swap/swap.js";
export type { DeviceLoss, LostRange } from "./unified/device-loss.js";
export type { Stats } from "./unified/stats.js";
export {
  createUnifiedMemory,
  type SharedMemoryOptions,
  type TransparentMemoryOptions,
  type UnifiedMemoryOptions,
} from "./unified/create-unified-memory.js";
export type { DisconnectOptions, PortOptions, UnifiedMemory } from "./unified/unified-memory.js";
export type { ArrayHandle } from "./unified/array-handle.js";
export type { DeviceModule } from "./unified/local/device-module.js";
export type { Port, TransparentOptions } from "./unified/pager.js";

/** Bytes. */
export const KiB = 1024;
/** Bytes. */
export const MiB = 1024 * 1024;
/** Bytes. */
export const GiB = 1024 * 1024 * 1024;
