/** What the arrays and kernels of one memory share. */

import type { OperationQueue } from "./operation-queue.js";
import type { Pager } from "./pager.js";
import type { PinLeaks } from "./pin-leaks.js";

export interface MemoryCore {
  readonly pager: Pager;
  readonly queue: OperationQueue;
  /** With `debug`: watches for pins that are collected unreleased. */
  readonly leaks: PinLeaks | null;
}
