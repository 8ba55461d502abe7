/**
 * The words of a migration's `src` and `dst` arrays.
 *
 * ```text
 *  31             6   5   4   3   2   1   0
 * +----------------+---+---+---+---+---+---+
 * |  frame         |       | W |   | M | V |
 * +----------------+---+---+---+---+---+---+
 * ```
 *
 * V: the word names a frame. M: the page is to migrate; setup sets it, and whoever finds that it cannot clears it. W: the
 * source entry was writable. M without V is a page that does not exist yet: a hole or the zero page.
 *
 * Counterpart: `include/linux/migrate.h` (`MIGRATE_PFN_VALID` and so on).
 */

export const MIGRATE_PFN_VALID = 1;
/**
 * The page is to migrate: `migrateVmaSetup` sets it, and whoever finds that it cannot clears it. `include/linux/migrate.h`.
 */
export const MIGRATE_PFN_MIGRATE = 1 << 1;
/** The page was mapped writable. */
export const MIGRATE_PFN_WRITE = 1 << 3;
/** Bits to the left of which the frame's number stands. */
export const MIGRATE_PFN_SHIFT = 6;

/** Selects pages of ordinary host memory, and holes. */
export const MIGRATE_VMA_SELECT_SYSTEM = 1;
/** Selects pages in device memory that the CPU cannot reach. */
export const MIGRATE_VMA_SELECT_DEVICE_PRIVATE = 1 << 1;
/** Selects pages in device memory that the CPU maps. */
export const MIGRATE_VMA_SELECT_DEVICE_COHERENT = 1 << 2;

/** The word that offers a frame as a destination (`migrate_pfn`). */
export function migratePfn(frame: number): number {
  return (frame << MIGRATE_PFN_SHIFT) | MIGRATE_PFN_VALID;
}

/** The frame that the word names, -1 for none (`migrate_pfn_to_page`). */
export function migratePfnToFrame(word: number): number {
  return (word & MIGRATE_PFN_VALID) === 0 ? -1 : word >>> MIGRATE_PFN_SHIFT;
}
