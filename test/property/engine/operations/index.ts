/**
 * What programs do to a world. Each operation is begun and enters what it stores into the truth at the moment at which it
 * stores it.
 */

export { accessExclusively, deviceLoad, deviceStore, load, store } from "./accesses.js";
export { exit, fork, giveUp, map, mapObject, protect, unmap } from "./mappings.js";
export { emptyDevice, evict, toDevice, toHost } from "./moves.js";
export { clearSoftDirty, pageOut, writeObject } from "./paging.js";
export { pin, pinForLong, release, storeThroughPin, tryPin } from "./pins.js";
export { READ_WRITE, type Target } from "./target.js";
