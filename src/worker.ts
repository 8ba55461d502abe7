/** Pageferry in a worker: the memory of another thread, by a port that it gave. */

export { DeviceLostError, type DeviceLostReason } from "./device/device-lost-error.js";
export type { ElementType, View } from "./device/element.js";
export { type ErrorCode, MemoryError } from "./mm/errors.js";
export { DispatchError } from "./unified/dispatch-error.js";
export { connect } from "./unified/remote/connect.js";
export type { ArrayHandle } from "./unified/array-handle.js";
export type { DeviceLoss, LostRange } from "./unified/device-loss.js";
export type { PagedArray } from "./unified/paged-array.js";
export type { Pin } from "./unified/pin.js";
export type { UnifiedMemory } from "./unified/unified-memory.js";
