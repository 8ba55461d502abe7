/**
 * PageRank by pulling: where somebody is who follows a random edge, or, one time in seven, and wherever no edge leaves,
 * begins anywhere. Ranks are such that their mean is 1.
 */

import type { DispatchReport } from "../../src/index.js";
import { type GraphMemory, padded, type Tally, tallied } from "./graph-memory.js";

export const damping = 0.85;

export interface Ranking {
  readonly ranks: Float32Array;
  readonly iterations: number;
  /** Mean change of a rank in the last iteration. */
  readonly change: number;
  readonly tally: Tally;
}

/** Stops after `most` iterations, or when ranks change by less than `enough` on average. */
export async function pageRank(
  graph: GraphMemory,
  most: number,
  enough: number,
  onProgress: (iteration: number) => void,
  signal: AbortSignal,
): Promise<Ranking> {
  const { memory, nodes, groups, offsets, sources, outDegrees, kernels } = graph;
  const [ranks, previous, shares] = ["ranks", "previous ranks", "shares"].map((label) =>
    memory.createArray("f32", padded(nodes), { label }),
  );
  const [changes, stranded] = ["changes", "stranded"].map((label) => memory.createArray("f32", groups, { label }));
  try {
    await ranks.fill(1);
    await previous.fill(1);
    const share = async (): Promise<{ change: number; base: number }> => {
      await kernels.share.dispatch({
        invocations: groups,
        arrays: { ranks, previous, outDegrees, shares, changes, stranded },
        uniforms: { nodes },
        signal,
      });
      const lost = sum(await stranded.read({ signal }));
      return { change: sum(await changes.read({ signal })) / nodes, base: 1 - damping + (damping * lost) / nodes };
    };
    const reports: DispatchReport[] = [];
    let { base, change } = await share();
    do {
      const arrays = { offsets, sources, shares, ranks };
      reports.push(await kernels.gather.dispatch({ invocations: nodes, arrays, uniforms: { base, damping }, signal }));
      ({ base, change } = await share());
      onProgress(reports.length);
    } while (reports.length < most && change >= enough);
    const found = await ranks.read({ length: nodes, signal });
    return { ranks: found, iterations: reports.length, change, tally: tallied(reports) };
  } finally {
    for (const array of [ranks, previous, shares, changes, stranded]) array.destroy();
  }
}

function sum(numbers: Float32Array): number {
  return numbers.reduce((total, number) => total + number, 0);
}
