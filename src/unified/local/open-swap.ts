/** The store that a memory swaps to: the caller's, or a file. */

import { MemoryError } from "../../mm/errors.js";
import { DEFAULT_PAGE_SIZE } from "../../mm/machine.js";
import type { SwapStore } from "../../mm/swap/swap.js";
import { checkSwapFile, SwapFile, type SwapFileOptions } from "./swap-file.js";

/** The options of a memory that say where to swap to. */
export interface SwapOptions {
  swapFile?: string | URL | SwapFileOptions;
  swapStore?: SwapStore;
  hostBudget?: number;
  pageSize?: number;
}

/** EINVAL for options that name no store, or more than one; or the system's error when the file cannot be made. */
export async function openSwap({
  swapFile,
  swapStore,
  hostBudget,
  pageSize = DEFAULT_PAGE_SIZE,
}: SwapOptions): Promise<SwapStore> {
  const name = swapFile === undefined ? "swapStore" : "swapFile";
  if (swapFile !== undefined && swapStore !== undefined)
    throw new MemoryError("EINVAL", "swapFile and swapStore are two places to swap to: give one of them");
  if (hostBudget === undefined || hostBudget === Infinity)
    throw new MemoryError("EINVAL", `${name} needs a hostBudget: without one nothing is ever swapped`);
  if (swapStore !== undefined) {
    checkSwapStore(swapStore);
    return swapStore;
  }
  return SwapFile.create(checkSwapFile(swapFile, pageSize), pageSize);
}

function checkSwapStore(store: SwapStore): void {
  for (const method of ["read", "write", "discard"] as const) {
    if (typeof store?.[method] !== "function")
      throw new MemoryError(
        "EINVAL",
        `swapStore needs slots, and the methods write, read and discard: it has no ${method}`,
      );
  }
}
