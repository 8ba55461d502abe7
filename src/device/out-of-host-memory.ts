/** The error of a page that finds no place in host memory, with the bytes in use and their bound. */

import { MemoryError } from "../mm/errors.js";
import type { Machine } from "../mm/machine.js";

/** `page` is the page's number in its address space. */
export function outOfHostMemory({ pageSize, host, swap }: Machine, page: number): MemoryError {
  const { usage, limit } = host.charge;
  const swapped =
    swap === null ? "" : `, and so are ${swap.used * pageSize} of ${swap.store.slots * pageSize} bytes of swap`;
  return new MemoryError(
    "ENOMEM",
    `no host memory for the page at ${page * pageSize}: ${usage * pageSize} of ${limit * pageSize} bytes are in use${swapped}`,
  );
}
