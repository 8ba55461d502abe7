/**
 * The record of a page frame: eight words.
 *
 * ```text
 * word  0      1         2         3        4      5         6         7
 *       flags  refcount  mapcount  mapping  index  LRU next  LRU prev  private
 * ```
 *
 * `mapping` is an anon_vma's number shifted left by two, with the kind in the low bits, 0 for none. `private` belongs to
 * the frame's owner: a retained home frame and the device frame that holds its page name each other there.
 *
 * A compound page is 512 aligned frames with one identity (`compound.ts`). Its first frame, the head, has the references,
 * the flags and the lock of all; `mapping` and `index` stand in each record, so that the reverse map works from any part.
 *
 * Counterpart: `struct page`, `include/linux/page-flags.h`.
 */

export const FRAME_WORDS = 8;
export const FRAME_SHIFT = 3;
export const FLAGS = 0;
export const REFCOUNT = 1;
export const MAPCOUNT = 2;
export const MAPPING = 3;
export const INDEX = 4;
export const LRU_NEXT = 5;
export const LRU_PREV = 6;
export const PRIVATE = 7;

export const PG_LOCKED = 1;
/** On the LRU list. */
export const PG_LRU = 1 << 1;
export const PG_DIRTY = 1 << 2;
/** Somebody waits for the page's lock. */
export const PG_WAITERS = 1 << 3;
/** The frame belongs to a home range and is never given to another page. */
export const PG_HOME = 1 << 4;
/** A free home frame that still holds the bytes of its page, which is on a device (`private` names where). */
export const PG_RETAINED = 1 << 5;
/** Of a device frame: the retained home frame named by `private` holds the same bytes. */
export const PG_HAS_COPY = 1 << 6;
/** The frame of host memory has been handed out before, so it may hold other bytes than zeros. */
export const PG_TOUCHED = 1 << 7;
/** In the swap cache: `private` is the slot. */
export const PG_SWAPCACHE = 1 << 8;
/**
 * An anonymous page in a private mapping of a file that nobody has written since it was filled from there: no entry of it
 * is writable. It can be given up without a copy, and is read again. Linux has no such mark: its file pages do not move
 * to devices.
 */
export const PG_FILE_COPY = 1 << 12;
/** Of a frame private to a device: it was filled with zeros there, and nothing has written it since. */
export const PG_ZEROS = 1 << 13;

/** The first frame of a compound page. */
export const PG_HEAD = 1 << 9;
/** Another frame of a compound page: its references and flags are the head's. */
export const PG_TAIL = 1 << 10;
export const PG_COMPOUND = PG_HEAD | PG_TAIL;

/** A DMA pin adds this to the reference count, so that it can be told from short references. */
export const GUP_PIN_COUNTING_BIAS = 1024;

export const MAPPING_KIND_SHIFT = 2;
export const MAPPING_ANON = 1;
/** `mapping` is the number of a page cache. */
export const MAPPING_FILE = 2;
export const MAPPING_KIND_MASK = (1 << MAPPING_KIND_SHIFT) - 1;
