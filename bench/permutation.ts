/** Seeded randomness: the same seed gives the same order on every machine. */

/** The seed of every scrambled order and of all generated data. */
export const SEED = 20_260_501;

/** Numbers in [0, 1), by the xorshift generator of Marsaglia with a multiplied output. */
export function randomNumbers(seed: number): () => number {
  let state = Math.imul(seed, 0x9e3779b1) | 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (Math.imul(state, 0x2c1b3c6d) >>> 0) / 2 ** 32;
  };
}

/** Puts the values into a random order (Fisher and Yates). */
export function shuffle(values: Int32Array, random: () => number): void {
  for (let i = values.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    const value = values[i];
    values[i] = values[j];
    values[j] = value;
  }
}

/** The numbers from 0 to `count - 1` in order. */
export function ascending(count: number): Int32Array {
  const values = new Int32Array(count);
  for (let i = 0; i < count; i++) values[i] = i;
  return values;
}
