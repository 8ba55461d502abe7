/**
 * What a paged module and the runtime that dispatches it agree on: bindings, words of the uniform, of the table and of the
 * state. Both sides take the numbers from here.
 *
 * Read-only regions in one buffer, the *tables*: a word for each page of all operands, zeros for the rest of the state, and the list
 * of units.
 *
 *     word of a page: 0 for not here, else | 31: writable | pool << (poolShift - pageShift) | slot in its pool |
 *
 * A word that is shifted left by `pageShift` is the *address* of the page: a number of words, with its pool in the bits from
 * `poolShift` on. Slot 0 of a pool is its trap page, so address 0 begins a page that belongs to nobody.
 *
 * The state has atomic words. A round begins with a copy of the tables up to the list:
 *
 *     | words of pages, bit 30 where a unit of the round uses it | counters | touched | missed | to be written | units that have not run |
 *
 * with a word for each page, then `COUNTERS`, then one bit for each page three times, then one for each unit of the round.
 */

export const FIRST_POOL_BINDING = 0;

/** Words of the uniform that all kernels have. Three numbers for each array follow, from `ARRAYS` on. */
export const PARAMETERS = {
  /** Units of the round, and the first one where they are no list. */
  count: 0,
  first: 1,
  /** Where the list of units begins in the tables; 0 for none. */
  list: 2,
  /** Where the parts of the state begin; that of the pages' uses begins at 0. */
  counters: 3,
  touched: 4,
  missed: 5,
  writes: 6,
  pending: 7,
  shapeX: 8,
  shapeY: 9,
  shapeZ: 10,
  workgroupsX: 11,
  workgroupsY: 12,
  workgroupsZ: 13,
} as const;

export const ARRAYS = 14;
/** For each array: the number of its first page, the last element that the kernel may use, and the elements that it has. */
export const ARRAY_WORDS = 3;

export const COUNTERS = {
  /** 1 when some unit has not run. */
  pending: 0,
  /** 1 + the number of an array that a unit used where it had not been touched. */
  violation: 1,
} as const;
export const COUNTER_WORDS = 2;

/** In the word of a page. */
export const WRITABLE_PAGE = 2 ** 31;

/** Storage buffers beside the pools: tables and state. */
export const OWN_STORAGE_BUFFERS = 2;

/** Invocations of a workgroup in which single invocations are run as units. */
export const LANES = 64;

/** Bytes of the uniform of a kernel with so many arrays. */
export function parameterBytes(arrays: number): number {
  return Math.ceil((ARRAYS + arrays * ARRAY_WORDS) / 4) * 16;
}
