/** Small graphs made by a seed. */

import type { Graph } from "../../../examples/graph/graph.js";
import { mulberry32 } from "../../../examples/k-means/seeds.js";

/** So many edges are drawn; those that are drawn twice are there once. Some nodes have far more than others, some none. */
export function randomGraph(nodes: number, drawn: number, seed: number): Graph {
  const next = mulberry32(seed);
  const skewed = (): number => Math.floor(next() ** 3 * nodes);
  const edges = new Set<number>();
  for (let i = 0; i < drawn; i++) edges.add(skewed() * nodes + Math.floor(next() * nodes));
  const list = [...edges];
  return {
    source: `seed ${seed}`,
    what: "nodes",
    nodes,
    from: Uint32Array.from(list, (edge) => Math.floor(edge / nodes)),
    to: Uint32Array.from(list, (edge) => edge % nodes),
    name: (node) => `node ${node}`,
    about: () => "",
    find: () => [],
  };
}
