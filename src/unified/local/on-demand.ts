/**
 * What a pager loads when it is first asked for: kernels, swap, mapped sources, looks at where pages are, GPU buffers. All are
 * one part, because a bundler puts what two parts share with the first script into scripts of their own, which takes more
 * than it saves.
 */

export { swapOn } from "../../mm/stores.js";
export { leaveBoundPages, LocalInterop } from "./local-interop.js";
export { prefetchToDevice } from "./device-engine.js";
export { LocalKernel } from "./local-kernel.js";
export { mapSource } from "./map-source.js";
export { openSwap } from "./open-swap.js";
export { residentRanges } from "./resident-ranges.js";
