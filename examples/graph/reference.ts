/**
 * The judge: the same once more, in the most obvious way, sharing nothing with what is judged. It imports nothing of the
 * project, goes by the list of edges alone, pushes where the kernels pull, and computes in float64. Its invariant: it accepts
 * ranks if and only if each is the reference's within the tolerance, and levels if and only if they are the same.
 */

export interface Edges {
  readonly nodes: number;
  readonly from: ArrayLike<number>;
  readonly to: ArrayLike<number>;
}

export interface Claim {
  readonly damping: number;
  readonly iterations: number;
  readonly ranks: ArrayLike<number>;
  readonly searches: readonly {
    readonly roots: readonly number[];
    /** What stands for "no way leads there". */
    readonly unreached: number;
    readonly levels: ArrayLike<number>;
    readonly counts: readonly number[];
  }[];
}

export interface Verdict {
  readonly verified: boolean;
  /** The largest difference of a rank, as a share of the larger of it and the mean rank. */
  readonly largestDifference: number;
  readonly faults: readonly string[];
}

/** Of ranks whose mean is 1, as a share of the rank where that is larger. */
export const tolerance = 1e-4;

export function verify(edges: Edges, { damping, iterations, ranks, searches }: Claim): Verdict {
  const faults: string[] = [];
  let largestDifference = 0;
  if (ranks.length !== edges.nodes) faults.push(`${ranks.length} ranks for ${edges.nodes} nodes`);
  const expected = pageRank(edges, damping, iterations);
  for (let node = 0; node < Math.min(ranks.length, edges.nodes); node++) {
    const difference = Math.abs(ranks[node] - expected[node]) / Math.max(1, expected[node]);
    // Written so that a rank that is not a number is off as well.
    if (!(difference <= tolerance)) faults.push(`node ${node}: rank ${expected[node]}, not ${ranks[node]}`);
    largestDifference = Math.max(largestDifference, difference);
  }
  for (const { roots, unreached, levels, counts } of searches) {
    const from = `from ${roots.join(", ")}`;
    const right = breadthFirst(edges, roots);
    if (levels.length !== edges.nodes) faults.push(`${from}: ${levels.length} levels for ${edges.nodes} nodes`);
    const perLevel: number[] = [];
    for (const [node, level] of right.entries()) {
      if (level !== Infinity) perLevel[level] = (perLevel[level] ?? 0) + 1;
      const claimed = levels[node] === unreached ? Infinity : levels[node];
      if (claimed !== level) faults.push(`${from}: node ${node} has level ${level}, not ${claimed}`);
    }
    if (perLevel.join() !== counts.join())
      faults.push(`${from}: ${perLevel.join()} nodes a level, not ${counts.join()}`);
  }
  return { verified: faults.length === 0, largestDifference, faults };
}

function pageRank({ nodes, from, to }: Edges, damping: number, iterations: number): Float64Array {
  const leaving = new Float64Array(nodes);
  for (let e = 0; e < from.length; e++) leaving[from[e]]++;
  let ranks = new Float64Array(nodes).fill(1);
  for (let iteration = 0; iteration < iterations; iteration++) {
    let stranded = 0;
    for (let node = 0; node < nodes; node++) if (leaving[node] === 0) stranded += ranks[node];
    const next = new Float64Array(nodes).fill(1 - damping + (damping * stranded) / nodes);
    for (let e = 0; e < from.length; e++) next[to[e]] += (damping * ranks[from[e]]) / leaving[from[e]];
    ranks = next;
  }
  return ranks;
}

function breadthFirst({ nodes, from, to }: Edges, roots: readonly number[]): number[] {
  const leaving: number[][] = Array.from({ length: nodes }, () => []);
  for (let e = 0; e < from.length; e++) leaving[from[e]].push(to[e]);
  const levels = Array.from({ length: nodes }, () => Infinity);
  const queue = [...new Set(roots)];
  for (const root of queue) levels[root] = 0;
  for (let place = 0; place < queue.length; place++) {
    for (const node of leaving[queue[place]]) {
      if (levels[node] !== Infinity) continue;
      levels[node] = levels[queue[place]] + 1;
      queue.push(node);
    }
  }
  return levels;
}
