/** What a driver implements, and what it can build on. */
export { AttachedDevice } from "./attached-device.js";
export { CopyList } from "./copy-list.js";
export { DeviceLostError, type DeviceLostReason } from "./device-lost-error.js";
export { deviceRead, deviceWrite } from "./device-access.js";
export type * from "./driver.js";
export { KernelError } from "./kernel-error.js";
export {
  ELEMENT_TYPES,
  type ElementArray,
  type ElementType,
  isElementType,
  type MemberType,
  nameOf,
  numbersOf,
  type ScalarOf,
  scalarOf,
  strideOf,
  type StructScalar,
  type StructType,
  type View,
  viewOf,
} from "./element.js";
export type { MatrixType, ScalarType, VectorType } from "./layout.js";
export { FrameAllocator } from "./frame-allocator.js";
export { migrateToDevice, type Placement } from "./migrate-to-device.js";
export { evictFrames, migrateToHost } from "./migrate-to-host.js";
export { recoverPages } from "./recover-pages.js";
export { DevicePageTable } from "./page-table.js";
