/** What flows into what: nodes are numbers, and edges go from a value to all that is worked out from it or happens by it. */
export class FlowGraph {
  readonly #next: number[][] = [];
  readonly #previous: number[][] = [];

  node(): number {
    this.#previous.push([]);
    return this.#next.push([]) - 1;
  }

  connect(from: number, to: number): void {
    this.#next[from].push(to);
    this.#previous[to].push(from);
  }

  connectAll(from: Iterable<number>, to: number): void {
    for (const node of from) this.connect(node, to);
  }

  /** All that the given nodes flow into, themselves as well. */
  reachedFrom(nodes: Iterable<number>): ReadonlySet<number> {
    return closure(this.#next, nodes);
  }

  /** All that flows into the given nodes, themselves as well. */
  leadingTo(nodes: Iterable<number>): ReadonlySet<number> {
    return closure(this.#previous, nodes);
  }
}

function closure(edges: readonly (readonly number[])[], nodes: Iterable<number>): ReadonlySet<number> {
  const found = new Set(nodes);
  // A set's iteration goes on to what is added meanwhile.
  for (const node of found) for (const other of edges[node]) found.add(other);
  return found;
}
