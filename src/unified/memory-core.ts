/** What the arrays and kernels of one memory share. */

import type { ElementType } from "../device/element.js";
import type { OperationQueue } from "./operation-queue.js";
import type { PagedArray } from "./paged-array.js";
import type { Pager } from "./pager.js";
import type { PinLeaks } from "./pin-leaks.js";

export interface MemoryCore {
  readonly pager: Pager;
  readonly queue: OperationQueue;
  /** All that are not destroyed, save for those that view the pages of another one. */
  readonly arrays: Set<PagedArray<ElementType, ArrayBufferLike>>;
  /** With `debug`: watches for pins that are collected unreleased. */
  readonly leaks: PinLeaks | null;
}
