/**
 * The counters of the race: in each page of the engine a few groups, far apart, of one counter for each writer and one for the
 * device's kernel. Nobody but its owner increments a counter.
 */

export const WRITERS = 2;
/** The kernel's place in a group. */
export const KERNEL = WRITERS;
const GROUPS = 4;

/** The index of a counter among 32-bit words. */
export function cellOf(wordsPerPage: number, page: number, group: number, owner: number): number {
  return page * wordsPerPage + Math.floor((group * wordsPerPage) / GROUPS) + owner;
}

export const groups = GROUPS;

/** Words of what all threads share: whether to stop, how far each thread is, and what a thread has found wrong. */
export const STOP = 0;
export const PROGRESS = 1;
export const WRONG = PROGRESS + WRITERS + 1;
export const CONTROL_WORDS = WRONG + 1;
