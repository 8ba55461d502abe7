/**
 * What a pager loads when it is first asked for: kernels, prefetches, swap, mapped sources, what a lost device leaves, looks at
 * where pages are, GPU buffers. All are one part, because a bundler puts what two parts share with the first script into
 * scripts of their own, which takes more than it saves.
 */

export { swapOn } from "../../mm/stores.js";
export { KernelOnDevice } from "./kernel-on-device.js";
export { leaveBoundPages, LocalInterop } from "./local-interop.js";
export { recover, replace, rewriteLost } from "./lost-device.js";
export { mapSource } from "./map-source.js";
export { prefetch } from "./prefetch.js";
export { openSwap } from "./open-swap.js";
export { residentRanges } from "./resident-ranges.js";
export { windowOf } from "./window-of.js";
