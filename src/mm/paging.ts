/**
 * What the engine asks about pages that may be elsewhere than in memory: in swap, in files. A table of operations, so that
 * the part which has them (`stores.ts`) need not be there, nor be loaded, where all pages are in memory.
 *
 * Counterpart: `struct vm_operations_struct`, `struct address_space_operations`.
 */

import { InvariantError } from "./errors.js";
import type { PageCache } from "./file/page-cache.js";
import type { Machine } from "./machine.js";
import type { AddressSpace } from "./space/address-space.js";
import type { Vma } from "./space/vma.js";

export interface Paging {
  /** Is there anywhere that pages could go, or be read from again? */
  readonly isPossible: boolean;
  /** Is host memory used up, and can something be done about it? */
  readonly isNeeded: boolean;
  /** Reclaims until `pages` can be allocated; false when that cannot be had. */
  makeRoom(pages: number): Promise<boolean>;
  /** Pages that are worth bringing into host memory at once, at most `pages`. */
  pagesAtOnce(pages: number): number;
  /** What is elsewhere of pages `[start, end)` comes into memory; `ForWrite` from private files as the mapping's own. */
  readIn(mm: AddressSpace, start: number, end: number): Promise<void>;
  readInForWrite(mm: AddressSpace, start: number, end: number): Promise<void>;
  /** Makes pages such that they can migrate to a device. The first for which there is no memory, -1 for none. */
  readInForDevice(mm: AddressSpace, start: number, end: number): Promise<number>;
  /** Makes a page its mapping's own, in memory: at once if it can be, or waiting. False without that, or without memory. */
  tryMakeOwn(mm: AddressSpace, page: number): boolean;
  makeOwn(mm: AddressSpace, page: number): Promise<boolean>;
  /** Unmaps a page with PG_FILE_COPY, to which the caller holds a reference; false when somebody else uses it. */
  dropFileCopy(machine: Machine, frame: number): boolean;
  /** Faults, as `handleFault`: at a swap entry, and where a page of an object is not mapped yet. */
  faultSwapped(vma: Vma, page: number, word: number, flags: number): number;
  faultFile(vma: Vma, file: PageCache, page: number, flags: number): number;
  /** Reads the slot of a swap entry at `page`; false when there is no memory for it. */
  swapIn(vma: Vma, page: number, slot: number): Promise<boolean>;
}

/** Of a machine without swap and files. */
export const ALL_IN_MEMORY: Paging = {
  isPossible: false,
  isNeeded: false,
  makeRoom: async () => false,
  pagesAtOnce: (pages) => pages,
  readIn: async () => {},
  readInForWrite: async () => {},
  readInForDevice: async () => -1,
  tryMakeOwn: () => true,
  makeOwn: async () => true,
  dropFileCopy: () => false,
  faultSwapped: nowhere,
  faultFile: nowhere,
  swapIn: nowhere,
};

function nowhere(): never {
  throw new InvariantError("a page is said to be in swap or in a file, and the machine has neither");
}
