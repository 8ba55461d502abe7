/**
 * Words that other threads may read and change: page-table entries and reference counts. The pager reads and writes them
 * through these functions only, so that the same code runs over memory of its own and over shared memory.
 *
 * Between threads they are the engine's atomics, which are calls (fifteen nanoseconds each, a dozen for a page that
 * migrates); while no thread shares a machine, one thread is all there is, and plain loads and stores do the same.
 */

let shared = false;

/** From now on words are shared between threads. There is no way back: it holds for all machines of this thread. */
export function shareWords(): void {
  shared = true;
}

export function loadWord(words: Int32Array, at: number): number {
  return shared ? Atomics.load(words, at) : words[at];
}

export function storeWord(words: Int32Array, at: number, word: number): void {
  if (shared) Atomics.store(words, at, word);
  else words[at] = word;
}

/** Replaces a word and returns what stood there. */
export function exchangeWord(words: Int32Array, at: number, word: number): number {
  if (shared) return Atomics.exchange(words, at, word);
  const before = words[at];
  words[at] = word;
  return before;
}

/** Replaces a word if it is the `expected` one; returns what stood there. */
export function compareExchangeWord(words: Int32Array, at: number, expected: number, word: number): number {
  if (shared) return Atomics.compareExchange(words, at, expected, word);
  const before = words[at];
  if (before === expected) words[at] = word;
  return before;
}

/** Adds to a word and returns what stood there. */
export function addToWord(words: Int32Array, at: number, addend: number): number {
  if (shared) return Atomics.add(words, at, addend);
  const before = words[at];
  words[at] = before + addend;
  return before;
}

/** Clears bits of a word and returns what stood there. */
export function clearBitsOfWord(words: Int32Array, at: number, bits: number): number {
  if (shared) return Atomics.and(words, at, ~bits);
  const before = words[at];
  words[at] = before & ~bits;
  return before;
}

/** Sets bits of a word. */
export function setBitsOfWord(words: Int32Array, at: number, bits: number): void {
  if (shared) Atomics.or(words, at, bits);
  else words[at] |= bits;
}
