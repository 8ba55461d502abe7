/** `pageferry/npy`: NumPy's .npy files, in and out. */

export { type NpyHeader, readNpyHeader } from "./header.js";
export { type LoadedNpy, loadNpy, type LoadNpyOptions } from "./load-npy.js";
export { npyStream, type NpyStreamOptions } from "./npy-stream.js";
