import assert from "node:assert/strict";
import { test } from "node:test";
import { breadthFirst, type Levels } from "../../../examples/graph/breadth-first.js";
import { type Graph, incomingEdges } from "../../../examples/graph/graph.js";
import { graphBytes, putGraph } from "../../../examples/graph/graph-memory.js";
import { unreached } from "../../../examples/graph/kernels.js";
import { damping, pageRank, type Ranking } from "../../../examples/graph/page-rank.js";
import { verify } from "../../../examples/graph/reference.js";
import { createUnifiedMemory, mirrorDevice } from "../../../src/index.js";
import { randomGraph } from "./random-graph.js";

const never = new AbortController().signal;
const pageSize = 4096;

interface Found {
  readonly ranking: Ranking;
  readonly searches: readonly (Levels & { roots: readonly number[] })[];
}

async function run(
  graph: Pick<Graph, "nodes" | "from" | "to">,
  budget: number,
  roots: readonly (readonly number[])[] = [],
  iterations = 20,
): Promise<Found> {
  const memory = await createUnifiedMemory({ device: mirrorDevice({ budget }), pageSize });
  try {
    const inMemory = await putGraph(memory, incomingEdges(graph), never);
    const ranking = await pageRank(inMemory, iterations, 0, () => {}, never);
    const searches = [];
    for (const from of roots) searches.push({ roots: from, ...(await breadthFirst(inMemory, from, () => {}, never)) });
    return { ranking, searches };
  } finally {
    await memory.destroy();
  }
}

function faultsOf(graph: Pick<Graph, "nodes" | "from" | "to">, { ranking, searches }: Found): readonly string[] {
  const { ranks, iterations } = ranking;
  const claim = { damping, iterations, ranks, searches: searches.map((search) => ({ ...search, unreached })) };
  return verify(graph, claim).faults;
}

for (const seed of [1, 2, 3]) {
  test(`ranks and levels of a random graph are right through memory for a quarter of it, seed ${seed}`, async () => {
    const graph = randomGraph(4000, 60_000, seed);
    const quarter = Math.floor(graphBytes(graph.nodes, graph.to.length) / 4 / pageSize) * pageSize;
    const roots = [[0], [5, 17, 3999]];
    const paged = await run(graph, quarter, roots);
    assert.equal(paged.ranking.tally.mode, "paged");
    assert.ok(paged.searches.every(({ tally }) => tally.mode === "paged"));
    assert.ok(paged.ranking.tally.footprintBytes > quarter);
    assert.deepEqual(faultsOf(graph, paged), []);

    const resident = await run(graph, 2 ** 22, roots);
    assert.equal(resident.ranking.tally.mode, "resident");
    assert.deepEqual(resident.ranking.ranks, paged.ranking.ranks);
    assert.deepEqual(
      resident.searches.map(({ levels, counts }) => ({ levels, counts })),
      paged.searches.map(({ levels, counts }) => ({ levels, counts })),
    );
  });
}

const shapes: readonly (readonly [what: string, nodes: number, edges: readonly (readonly [number, number])[]])[] = [
  ["without edges", 3, []],
  ["of one node", 1, []],
  [
    "that is a ring, of just more than a group",
    257,
    Array.from({ length: 257 }, (_, i) => [i, (i + 1) % 257] as const),
  ],
  ["that is a star inwards", 256, Array.from({ length: 255 }, (_, i) => [i + 1, 0] as const)],
  ["with a node that points at itself", 2, [[0, 0]]],
];

for (const [what, nodes, edges] of shapes) {
  test(`ranks and levels of a graph ${what}`, async () => {
    const graph = {
      nodes,
      from: Uint32Array.from(edges, ([from]) => from),
      to: Uint32Array.from(edges, ([, to]) => to),
    };
    const found = await run(graph, 2 ** 20, [[nodes - 1]], 30);
    assert.deepEqual(faultsOf(graph, found), []);
    const sum = found.ranking.ranks.reduce((total, rank) => total + rank, 0);
    assert.ok(Math.abs(sum - nodes) < 1e-3 * nodes, `the ranks of ${nodes} nodes sum up to ${sum}`);
  });
}

test("a ring has the same rank everywhere and one node a level; PageRank ends when ranks do not change", async () => {
  const nodes = 300;
  const graph = {
    nodes,
    from: Uint32Array.from({ length: nodes }, (_, i) => i),
    to: Uint32Array.from({ length: nodes }, (_, i) => (i + 1) % nodes),
  };
  const memory = await createUnifiedMemory({ device: mirrorDevice({ budget: 2 ** 20 }), pageSize });
  const inMemory = await putGraph(memory, incomingEdges(graph), never);
  const { ranks, iterations } = await pageRank(inMemory, 50, 1e-5, () => {}, never);
  assert.equal(iterations, 1);
  assert.ok(ranks.every((rank) => Math.abs(rank - 1) < 1e-6));
  const { levels, counts } = await breadthFirst(inMemory, [7], () => {}, never);
  assert.ok(levels.every((level, node) => level === (node - 7 + nodes) % nodes));
  assert.deepEqual(
    counts,
    Array.from({ length: nodes }, () => 1),
  );
  await memory.destroy();
});

test("the reference refuses a wrong rank, a wrong level, a way that is none, wrong counts, and what is missing", async () => {
  const graph = randomGraph(500, 900, 9);
  const found = await run(graph, 2 ** 22, [[3]]);
  assert.deepEqual(faultsOf(graph, found), []);
  const [search] = found.searches;
  const withRanks = (ranks: Float32Array): Found => ({ ...found, ranking: { ...found.ranking, ranks } });
  const withSearch = (change: Partial<Levels>): Found => ({ ...found, searches: [{ ...search, ...change }] });
  const { ranks } = found.ranking;
  assert.match(faultsOf(graph, withRanks(ranks.with(4, ranks[4] + 1e-2)))[0], /^node 4: rank .+, not /);
  assert.match(faultsOf(graph, withRanks(ranks.with(0, Number.NaN)))[0], /^node 0: rank .+, not NaN$/);
  assert.match(faultsOf(graph, withRanks(ranks.subarray(1)))[0], /^499 ranks for 500 nodes$/);
  const { levels, counts } = search;
  const far = levels.indexOf(unreached);
  const near = levels.indexOf(1);
  assert.ok(far >= 0 && near >= 0);
  assert.match(
    faultsOf(graph, withSearch({ levels: levels.with(near, 2) }))[0],
    new RegExp(`^from 3: node ${near} has level 1, not 2$`),
  );
  assert.match(faultsOf(graph, withSearch({ levels: levels.with(far, 3) }))[0], /has level Infinity, not 3$/);
  assert.match(faultsOf(graph, withSearch({ levels: levels.with(near, unreached) }))[0], /has level 1, not Infinity$/);
  assert.match(faultsOf(graph, withSearch({ counts: counts.slice(0, -1) }))[0], /^from 3: .+ nodes a level, not /);
  assert.match(faultsOf(graph, withSearch({ levels: levels.subarray(1) }))[0], /^from 3: 499 levels for 500 nodes$/);
});
