/**
 * The k best of many scores in one pass. Invariant: the order is by score, highest first, and by index, lowest first,
 * among equal scores; so the answer is the same for every page size and budget.
 */

export interface Neighbour {
  readonly index: number;
  readonly similarity: number;
}

/** A stretch of the scores, as a pin gives them: `view[0]` is score `start` of the whole. */
export interface Stretch {
  readonly start: number;
  readonly view: ArrayLike<number>;
}

/**
 * Looks at scores `offset`, `offset + stride` ..., which are those of items 0, 1 ...; leaves out item `exclude`. The
 * stretches are in order and together the whole.
 */
export function nearest(
  scores: readonly Stretch[],
  options: { readonly k: number; readonly exclude: number; readonly stride?: number; readonly offset?: number },
): Neighbour[] {
  const { k, exclude, stride = 1, offset = 0 } = options;
  const best: Neighbour[] = [];
  let bar = -Infinity;
  for (const { start, view } of scores) {
    let index = Math.max(0, Math.ceil((start - offset) / stride));
    for (let place = offset + index * stride - start; place < view.length; place += stride, index++) {
      const similarity = view[place];
      // Items come by rising index, so one that only equals the last of a full list has lost.
      if ((best.length === k && similarity <= bar) || index === exclude) continue;
      let position = best.length;
      while (position > 0 && best[position - 1].similarity < similarity) position--;
      best.splice(position, 0, { index, similarity });
      if (best.length > k) best.pop();
      bar = best[best.length - 1].similarity;
    }
  }
  return best;
}
