/**
 * The page-table entry: one 32-bit word, so that it can be exchanged atomically.
 *
 * ```text
 *  31                             8   7   6   5   4   3   2   1   0
 * +--------------------------------+---+---+---+---+---+---+---+---+
 * |  frame                         | N | X | U | S | D | A | W | 1 |  present
 * +--------------------------------+---+---+---+---+---+---+---+---+
 * |  frame                         | 1 | X | U | S | D | A | W | 0 |  migration (M = 1)
 * +--------------------------------+---+---+---+---+---+---+---+---+
 * |  frame or swap slot            | 0 | X | U | S |  kind | W | 0 |  swap 0, device-private 1,
 * +--------------------------------+---+---+---+---+-------+---+---+  device-exclusive 2, marker 3
 * |  table                     | 1 |               0               |  upper levels: next table
 * +--------------------------------+-------------------------------+
 * ```
 *
 * W writable, A young, D dirty, S soft-dirty, U userfault write-protected, X anonymous-exclusive, N no access
 * (`PROT_NONE`). A migration entry with W is writable, with X alone readable-exclusive, else readable. The word 0 is
 * "none"; frame 0 is the zero page and swap slot 0 is never used, so no live entry is 0. A marker names no frame: it says
 * that the page's contents are lost. A huge frame is a multiple of 512, so in an upper-level word the lowest frame bit set
 * means that the word names a table, not a page.
 *
 * Limits that follow: 2^24 frames over host and all devices (64 GiB at 4 KiB pages, 1 TiB at 64 KiB), 2^23 tables.
 *
 * Counterpart: `arch/x86/include/asm/pgtable.h`, `include/linux/swapops.h`.
 */

export const PTE_PRESENT = 1;
export const PTE_WRITE = 1 << 1;
export const PTE_YOUNG = 1 << 2;
export const PTE_DIRTY = 1 << 3;
export const PTE_SOFT_DIRTY = 1 << 4;
export const PTE_UFFD_WP = 1 << 5;
export const PTE_EXCLUSIVE = 1 << 6;
/** Of a present entry: the mapping forbids every access. */
export const PTE_NO_ACCESS = 1 << 7;
/** Of an entry that is not present: a migration entry; the accesses wait for the lock of its frame. */
export const PTE_MIGRATION = 1 << 7;

export const PTE_FRAME_SHIFT = 8;
export const MAX_FRAMES = 1 << 24;

/** What survives every change of an entry's form: soft-dirty and userfault write protection. */
export const PTE_TRACKING = PTE_SOFT_DIRTY | PTE_UFFD_WP;

/** Linux on x86: making an entry dirty always makes it soft-dirty as well. */
export const PTE_MAKE_DIRTY = PTE_DIRTY | PTE_SOFT_DIRTY;
