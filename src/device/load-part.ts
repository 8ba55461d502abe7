/** Parts of the package that are loaded when they are first wanted, so that nobody loads what he does not use. */

import { MemoryError } from "../mm/errors.js";

/** EIO, naming the part, when it cannot be had: in a browser that has lost its network, say. */
export async function loadPart<Part>(name: string, load: () => Promise<Part>): Promise<Part> {
  try {
    return await load();
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    throw new MemoryError("EIO", `the part of pageferry for ${name} could not be loaded: ${message}`, { cause });
  }
}
