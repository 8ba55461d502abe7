/**
 * What a pager loads when it is first asked for: kernels, swap, mapped sources, buffers
 * of a device. All are one part, because a bundler puts what
 * two parts share with the first script into scripts of their own, which takes more than it saves.
 */

export { swapOn } from "../../mm/stores.js";
export { leaveBoundPages, LocalInterop } from "./local-interop.js";
export { LocalKernel } from "./local-kernel.js";
export { mapSource } from "./map-source.js";
export { openSwap } from "./open-swap.js";
