/**
 * The shared words of a port, between one thread in user mode and the pager.
 *
 * ```text
 *  0        1      2       3                 16                      16 + RING_WORDS
 * +--------+------+-------+-----------------+-----------------------+---------------------------------------+
 * | read   | put  | pins  | retries, misses | ring of last puts     | pin slots of SLOT_WORDS words         |
 * +--------+------+-------+-----------------+-----------------------+---------------------------------------+
 *
 * ring word:  frame << 1 | written
 * pin slot:   state (0 free)   first page   pages   first frame   references held
 * ```
 *
 * A slot is one run of neighbouring frames. It is claimed before the entry of the first page is looked at for the second
 * time, so the pager, which changes an entry first and looks at the slots after, finds whoever may use the page. `held` is
 * raised after a reference is taken and lowered before it is given back: a thread that is ended in between leaves a page
 * that is held for ever, never one that is given up twice.
 *
 * Of the ring, the thread writes `put` and the pager `read`; both count on for ever.
 */

export const RING_READ = 0;
export const RING_PUT = 1;
/** Pages that were pinned. */
export const PINS = 2;
/** References that were taken and given back, because the entry had changed meanwhile. */
export const RETRIES = 3;
/** Pages that the thread could not pin by itself. */
export const MISSES = 4;

export const RING = 16;
export const RING_WORDS = 1024;
export const RING_MASK = RING_WORDS - 1;

export const SLOTS = RING + RING_WORDS;
export const SLOT_WORDS = 8;
export const SLOT_COUNT = 1024;
export const SLOT_STATE = 0;
export const SLOT_PAGE = 1;
export const SLOT_PAGES = 2;
export const SLOT_FRAME = 3;
export const SLOT_HELD = 4;

export const PORT_WORDS = SLOTS + SLOT_COUNT * SLOT_WORDS;

/** States of a slot: what the pin is for, and whether it lasts no longer than a copy. */
export const SLOT_READ = 1;
export const SLOT_WRITE = 2;
export const SLOT_TRANSIENT = 4;

/** Words that all threads of a machine share with the pager. */
export const CONTROL_WORDS = 2;
/** Not 0 as long as the machine may be used. */
export const ALIVE = 0;
/** How many operations of the pager wait until pins that do not last have gone: no new ones meanwhile. */
export const PAGER_WAITS = 1;
