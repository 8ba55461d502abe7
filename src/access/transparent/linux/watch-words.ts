/** What the pager and its supervisor share: 32-bit words. */

export type WatchWords = Int32Array<SharedArrayBuffer>;

/** Messages that were read. */
export const READ = 0;
/** Not 0 once the memory is destroyed: the supervisor ends. */
export const ENDED = 1;

const WORDS = 2;

export function createWatchWords(): WatchWords {
  return new Int32Array(new SharedArrayBuffer(WORDS * Int32Array.BYTES_PER_ELEMENT));
}
