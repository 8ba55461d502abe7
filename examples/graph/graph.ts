/** A directed graph as its makers give it: a list of edges, and names for the nodes. */

export interface Graph {
  /** A line that says what it is and whom it comes from. */
  readonly source: string;
  /** What a message calls its nodes: "synsets". */
  readonly what: string;
  readonly nodes: number;
  /** Edge e goes from `from[e]` to `to[e]`; none stands twice. */
  readonly from: Uint32Array;
  readonly to: Uint32Array;
  name(node: number): string;
  /** A little more than the name; empty where there is nothing to say. */
  about(node: number): string;
  /** The nodes that a word stands for; none for one that is unknown. */
  find(word: string): readonly number[];
}

/** A graph as kernels read it: node v has the edges `offsets[v]` to `offsets[v + 1]`, and they come from `sources`. */
export interface IncomingEdges {
  readonly offsets: Uint32Array;
  readonly sources: Uint32Array;
  /** Edges that leave each node. */
  readonly outDegrees: Uint32Array;
}

export function incomingEdges({ nodes, from, to }: Pick<Graph, "nodes" | "from" | "to">): IncomingEdges {
  const offsets = new Uint32Array(nodes + 1);
  const outDegrees = new Uint32Array(nodes);
  for (let e = 0; e < to.length; e++) {
    offsets[to[e] + 1]++;
    outDegrees[from[e]]++;
  }
  for (let v = 0; v < nodes; v++) offsets[v + 1] += offsets[v];
  const next = offsets.slice();
  const sources = new Uint32Array(to.length);
  for (let e = 0; e < to.length; e++) sources[next[to[e]]++] = from[e];
  return { offsets, sources, outDegrees };
}
