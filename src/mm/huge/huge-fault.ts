/**
 * Faults on whole blocks: a VMA that asks for huge pages gets the zero page 512 times for a read of an empty block, and a
 * compound page for a write. What cannot be done for a block as a whole is done page by page.
 *
 * Counterpart: `do_huge_pmd_anonymous_page`, `do_huge_pmd_wp_page`, `huge_pmd_set_accessed` (`mm/huge_memory.c`),
 * `hugepage_vma_check`.
 */

import { prepareAnonVma } from "../space/anon-vma.js";
import { makeCompoundPage } from "./compound.js";
import { PTE_EXCLUSIVE, PTE_FRAME_SHIFT, PTE_MAKE_DIRTY, PTE_WRITE, PTE_YOUNG } from "../table/entry.js";
import { homeFrameOf } from "../host/home-range.js";
import { blockOf, splitHugeEntry } from "./huge-entry.js";
import { moveAnonRmap } from "../frames/rmap.js";
import { BLOCK_FRAMES, TABLE_WORDS } from "../table/table-shape.js";
import { makeEntry, maybeWritable, VM_HUGEPAGE, type Vma } from "../space/vma.js";

/** May the page's block be mapped by one entry? */
export function allowsHugePage(vma: Vma, page: number): boolean {
  const first = blockOf(page);
  return (vma.flags & VM_HUGEPAGE) !== 0 && vma.anonymous && first >= vma.start && first + TABLE_WORDS <= vma.end;
}

/**
 * A fault where no leaf table stands. True when it is done; false when it is to be handled page by page, for which the
 * huge entry, if there was one, has been split.
 */
export function faultBlock(vma: Vma, page: number, write: boolean, unshare: boolean): boolean {
  const { mm } = vma;
  const word = mm.pageTable.huge(page);
  if (word === 0) return allowsHugePage(vma, page) && faultEmptyBlock(vma, page, write);
  if ((!write && !unshare) || (word & PTE_WRITE) !== 0) {
    mm.pageTable.replaceHuge(page, word | (write ? PTE_YOUNG | PTE_MAKE_DIRTY : PTE_YOUNG));
    return true;
  }
  if (word >>> PTE_FRAME_SHIFT !== 0 && reuseCompoundPage(vma, page, word, write)) return true;
  splitHugeEntry(vma, page);
  return false;
}

/** A read needs no root, but gets one: Linux prepares it before it looks at the access. */
function faultEmptyBlock(vma: Vma, page: number, write: boolean): boolean {
  const { mm } = vma;
  if (!prepareAnonVma(vma)) return false;
  if (!write) {
    if (!mm.pageTable.mapHuge(page, makeEntry(vma, 0))) return false;
    mm.machine.counters.faults++;
    return true;
  }
  const { machine } = mm;
  const first = blockOf(page);
  const head = mm.tryCharge(BLOCK_FRAMES) ? machine.host.allocateBlock(homeFrameOf(vma.home, first)) : -1;
  if (head > 0) {
    makeCompoundPage(machine, head, vma, first);
    const entry = maybeWritable(vma, makeEntry(vma, head) | PTE_MAKE_DIRTY | PTE_EXCLUSIVE);
    if (mm.pageTable.mapHuge(page, entry)) {
      machine.counters.faults++;
      machine.lru.add(head);
      // A compound page does not wait in the batch, and nothing in front of it does.
      machine.lru.drain();
      return true;
    }
    machine.frames.addCompoundMapcount(head, -1);
    machine.put(head);
  }
  if (head >= 0) mm.resident.uncharge(BLOCK_FRAMES);
  return false;
}

/** A write to a compound page that is, or can become, this mapping's own. False when others use it. */
function reuseCompoundPage(vma: Vma, page: number, word: number, write: boolean): boolean {
  const { machine, pageTable } = vma.mm;
  const head = word >>> PTE_FRAME_SHIFT;
  if ((word & PTE_EXCLUSIVE) === 0) {
    if (machine.frames.refcount(head) !== 1) return false;
    moveAnonRmap(machine, head, vma);
  }
  machine.counters.faults++;
  const owned = word | PTE_EXCLUSIVE;
  pageTable.replaceHuge(page, write ? maybeWritable(vma, owned | PTE_YOUNG | PTE_MAKE_DIRTY) : owned);
  return true;
}
