/**
 * What the engine asks about huge pages: a table of operations, so that the part which makes and splits them need not be there
 * where no mapping asks for any. The first `madvise` that does brings it.
 *
 * Counterpart: `CONFIG_TRANSPARENT_HUGEPAGE`, `include/linux/huge_mm.h`.
 */

import { InvariantError } from "../errors.js";
import type { Machine } from "../machine.js";
import type { Vma } from "../space/vma.js";

export interface HugePages {
  /** A fault where no leaf table stands; false when it is to be handled page by page. */
  faultBlock(vma: Vma, page: number, write: boolean, unshare: boolean): boolean;
  /** Puts 512 entries in the place of the huge entry of the page's block. */
  splitEntry(vma: Vma, page: number, word: number): void;
  /** Splits the compound page that the frame is part of; false, with nothing changed, when somebody holds or has locked it. */
  splitHugePage(machine: Machine, frame: number): boolean;
}

/** Of a machine of which no mapping ever asked for huge pages. */
export const NO_HUGE_PAGES: HugePages = { faultBlock: () => false, splitEntry: never, splitHugePage: never };

function never(): never {
  throw new InvariantError("a huge page is split, and the machine has none");
}
