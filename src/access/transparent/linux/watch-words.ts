/** What the pager and its supervisor share: 32-bit words. */

export type WatchWords = Int32Array<SharedArrayBuffer>;

/** Messages that were read. */
export const READ = 0;
/** Turns of the pager's event loop, as a timer counts them. */
export const BEATS = 1;
/** Not 0 once the memory is destroyed: the supervisor ends. */
export const ENDED = 2;

const WORDS = 3;

export function createWatchWords(): WatchWords {
  return new Int32Array(new SharedArrayBuffer(WORDS * Int32Array.BYTES_PER_ELEMENT));
}
