/**
 * The k best of many scores in one pass. Invariant: the order is by score, highest first, and by index, lowest first,
 * among equal scores; so the answer is the same for every page size and budget.
 */

export interface Neighbour {
  readonly index: number;
  readonly similarity: number;
}

/** Looks at `scores[offset]`, `scores[offset + stride]` ..., the scores of items 0, 1 ...; leaves out item `exclude`. */
export function nearest(
  scores: ArrayLike<number>,
  options: { readonly k: number; readonly exclude: number; readonly stride?: number; readonly offset?: number },
): Neighbour[] {
  const { k, exclude, stride = 1, offset = 0 } = options;
  const best: Neighbour[] = [];
  let bar = -Infinity;
  for (let index = 0, place = offset; place < scores.length; index++, place += stride) {
    const similarity = scores[place];
    // Items come by rising index, so one that only equals the last of a full list has lost.
    if ((best.length === k && similarity <= bar) || index === exclude) continue;
    let position = best.length;
    while (position > 0 && best[position - 1].similarity < similarity) position--;
    best.splice(position, 0, { index, similarity });
    if (best.length > k) best.pop();
    bar = best.at(-1)!.similarity;
  }
  return best;
}
