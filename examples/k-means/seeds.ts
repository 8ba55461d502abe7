/** The rows that the centroids begin as: different ones, drawn by a seed. */

export function seedRows(rows: number, clusters: number, seed: number): number[] {
  const next = mulberry32(seed);
  const drawn = new Set<number>();
  while (drawn.size < clusters) drawn.add(Math.floor(next() * rows));
  return [...drawn];
}

/** Tommy Ettinger's mulberry32: numbers of [0, 1), the same for the same seed. */
export function mulberry32(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
