/** The shape of page tables: 512 words a table, three levels; and of the pool that they come from. */

export const TABLE_SHIFT = 9;
export const TABLE_WORDS = 1 << TABLE_SHIFT;
export const TABLE_MASK = TABLE_WORDS - 1;

/** Tables a chunk of the pool: 64 KiB, which is what a pool has to spare at most. */
export const CHUNK_SHIFT = 5;

/** Pages that one address space can map. */
export const ADDRESS_SPACE_PAGES = 1 << (3 * TABLE_SHIFT);

/** Frames a block: what one leaf table maps, and what zones are aligned to. */
export const BLOCK_SHIFT = TABLE_SHIFT;
export const BLOCK_FRAMES = 1 << BLOCK_SHIFT;
