/** How a program wants the link to the software device: known before the device is loaded. */

import { MemoryError } from "../../mm/errors.js";

export type LinkDirection = "upload" | "download" | "clear";

export interface LinkOptions {
  /** Bytes a second in each direction. Default: as fast as memory. */
  bandwidth?: number;
  /** Milliseconds before each transfer. Default 0. */
  latency?: number;
  /** Asked before each transfer of `pages` pages; true makes it fail half way. */
  fails?: (direction: LinkDirection, pages: number) => boolean;
}

/** Throws EINVAL for options out of bounds. */
export function checkLink({ bandwidth = Infinity, latency = 0 }: LinkOptions): void {
  if (!(bandwidth > 0)) throw new MemoryError("EINVAL", `link bandwidth ${bandwidth} bytes a second is not above 0`);
  if (!(latency >= 0)) throw new MemoryError("EINVAL", `link latency ${latency} ms is below 0`);
}
