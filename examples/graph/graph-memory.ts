/** A graph in unified memory, and what the algorithms over it have in common: kernels, padding, and a tally of dispatches. */

import type { DispatchReport, Kernel, PagedArray, UnifiedMemory } from "../../src/index.js";
import type { IncomingEdges } from "./graph.js";
import { countKernel, gatherKernel, groupSize, shareKernel, visitKernel } from "./kernels.js";

/** What the dispatches of one algorithm's main kernel came to. */
export interface Tally {
  readonly dispatches: number;
  readonly mode: DispatchReport["mode"];
  readonly why: string;
  /** Steps or rounds. */
  readonly steps: number;
  /** Bytes to the device and back. */
  readonly movedBytes: number;
  /** Of one dispatch, at most. */
  readonly footprintBytes: number;
  readonly advice: string | null;
}

export interface GraphMemory {
  readonly memory: UnifiedMemory;
  readonly nodes: number;
  readonly groups: number;
  readonly offsets: PagedArray<"u32">;
  readonly sources: PagedArray<"u32">;
  readonly outDegrees: PagedArray<"u32">;
  readonly kernels: Readonly<Record<"gather" | "share" | "visit" | "count", Kernel>>;
}

/** Bytes of all arrays that are there at a time: edges, degrees, and three numbers a node. */
export function graphBytes(nodes: number, edges: number): number {
  return 4 * (edges + nodes + 1 + 4 * padded(nodes));
}

export async function putGraph(
  memory: UnifiedMemory,
  { offsets, sources, outDegrees }: IncomingEdges,
  signal: AbortSignal,
): Promise<GraphMemory> {
  const nodes = outDegrees.length;
  const put = async (label: string, numbers: Uint32Array, length: number): Promise<PagedArray<"u32">> => {
    const array = memory.createArray("u32", length, { label });
    await array.write(numbers, { signal });
    return array;
  };
  return {
    memory,
    nodes,
    groups: padded(nodes) / groupSize,
    offsets: await put("offsets", offsets, nodes + 1),
    // An array has an element at least.
    sources: await put("sources", sources, Math.max(sources.length, 1)),
    outDegrees: await put("out-degrees", outDegrees, padded(nodes)),
    kernels: {
      gather: await memory.createKernel(gatherKernel),
      share: await memory.createKernel(shareKernel),
      visit: await memory.createKernel(visitKernel),
      count: await memory.createKernel(countKernel),
    },
  };
}

/** Whole groups, for the kernels that go by groups. */
export function padded(nodes: number): number {
  return Math.ceil(nodes / groupSize) * groupSize;
}

export function tallied(reports: readonly DispatchReport[]): Tally {
  const last = reports.at(-1)!;
  return {
    dispatches: reports.length,
    mode: last.mode,
    why: last.why,
    steps: reports.reduce((sum, { steps }) => sum + steps, 0),
    movedBytes: reports.reduce((sum, { moved }) => sum + moved.toDevice + moved.toHost, 0),
    footprintBytes: Math.max(...reports.map(({ footprintBytes }) => footprintBytes)),
    advice: reports.find(({ advice }) => advice !== undefined)?.advice ?? null,
  };
}
