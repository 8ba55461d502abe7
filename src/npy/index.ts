/** `pageferry/npy`: NumPy's .npy files, in and out. */

export { isNpy, MAX_NPY_HEADER_BYTES, type NpyHeader, readNpyHeader, writeNpyHeader } from "./header.js";
export { type LoadedNpy, loadNpy, type LoadNpyOptions } from "./load-npy.js";
export { mapNpy, type MapNpyOptions } from "./map-npy.js";
export { npyStream, type NpyStreamOptions } from "./npy-stream.js";
