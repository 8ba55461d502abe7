/** Breadth-first search by pulling, level by level: how many edges each node is from the nearest of the nodes it begins at. */

import type { DispatchReport } from "../../src/index.js";
import { type GraphMemory, padded, type Tally, tallied } from "./graph-memory.js";
import { unreached } from "./kernels.js";

export interface Levels {
  /** Of each node; `unreached` where no way leads. */
  readonly levels: Uint32Array;
  /** Nodes of each level, from 0 on. */
  readonly counts: readonly number[];
  readonly tally: Tally;
}

export async function breadthFirst(
  graph: GraphMemory,
  roots: readonly number[],
  onProgress: (reached: number) => void,
  signal: AbortSignal,
): Promise<Levels> {
  const { memory, nodes, groups, offsets, sources, kernels } = graph;
  let [before, after] = ["levels", "next levels"].map((label) => memory.createArray("u32", padded(nodes), { label }));
  const counts = memory.createArray("u32", groups, { label: "counts" });
  try {
    await before.fill(unreached);
    await after.fill(unreached);
    for (const root of roots) await before.fill(0, { start: root, length: 1 });
    const perLevel = [roots.length];
    const reports: DispatchReport[] = [];
    for (let reached = roots.length, found = roots.length; found > 0;) {
      const depth = perLevel.length - 1;
      const arrays = { offsets, sources, before, after };
      reports.push(await kernels.visit.dispatch({ invocations: nodes, arrays, uniforms: { depth }, signal }));
      await kernels.count.dispatch({
        invocations: groups,
        arrays: { levels: after, counts },
        uniforms: { nodes, wanted: depth + 1 },
        signal,
      });
      found = (await counts.read({ signal })).reduce((total, number) => total + number, 0);
      if (found > 0) perLevel.push(found);
      reached += found;
      onProgress(reached);
      [before, after] = [after, before];
    }
    return { levels: await before.read({ length: nodes, signal }), counts: perLevel, tally: tallied(reports) };
  } finally {
    for (const array of [before, after, counts]) array.destroy();
  }
}
