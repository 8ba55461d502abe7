/** All that is loaded on demand for swap and mapped sources. */

export { swapOn } from "../../mm/stores.js";
export { mapSource } from "./map-source.js";
export { openSwap } from "./open-swap.js";
