/** How CPU code reaches pages. */
export { accessHost, type UseRun } from "./host-access.js";
export { pinPages, type PinnedPages, tryPinPages, unpinPages } from "./host-pins.js";
