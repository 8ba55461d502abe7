/**
 * The flat truth beside an address space: for each mapped page the value that fills it. A store is entered at the moment
 * at which it happens, so that what a page holds between two moments is known even while operations overlap.
 *
 * Two things are less sharp. A page that was cleared at a moment which could not be told from another event may hold
 * either value, until it is looked at. And somebody who reads over a span of time may see any value of that span.
 */

export class Shadow {
  /** By page number; a page that is not mapped is missing. */
  readonly #values = new Map<number, Set<number>>();
  readonly #readers = new Set<SpanOfReading>();

  has(page: number): boolean {
    return this.#values.has(page);
  }

  get pages(): Iterable<number> {
    return this.#values.keys();
  }

  get size(): number {
    return this.#values.size;
  }

  map(start: number, end: number): void {
    for (let page = start; page < end; page++) this.write(page, 0);
  }

  unmap(start: number, end: number): void {
    for (const page of this.#values.keys()) if (page >= start && page < end) this.#values.delete(page);
  }

  inherit(parent: Shadow): void {
    for (const [page, values] of parent.#values) this.#values.set(page, new Set(values));
  }

  write(page: number, value: number): void {
    this.#values.set(page, new Set([value]));
    for (const reader of this.#readers) reader.add(page, value);
  }

  /** The page may have been given up just now. */
  maybeCleared(page: number): void {
    this.#values.get(page)?.add(0);
    for (const reader of this.#readers) reader.add(page, 0);
  }

  /** Is that what the page holds? From now on it holds exactly that. */
  agrees(page: number, value: number): boolean {
    const values = this.#values.get(page);
    if (values === undefined || !values.has(value)) return false;
    if (values.size > 1) this.#values.set(page, new Set([value]));
    return true;
  }

  expected(page: number): string {
    const values = this.#values.get(page);
    return values === undefined ? "nothing, since it is not mapped" : [...values].join(" or ");
  }

  /** Somebody begins to read pages `[start, end)`. */
  beginReading(start: number, end: number): SpanOfReading {
    const reader = new SpanOfReading(start, end);
    for (let page = start; page < end; page++) {
      for (const value of this.#values.get(page) ?? []) reader.add(page, value);
    }
    this.#readers.add(reader);
    return reader;
  }

  endReading(reader: SpanOfReading): void {
    this.#readers.delete(reader);
  }
}

/** The values that pages held at some time while somebody read them. */
export class SpanOfReading {
  readonly start: number;
  readonly end: number;
  readonly #seen: Set<number>[];

  constructor(start: number, end: number) {
    this.start = start;
    this.end = end;
    this.#seen = Array.from({ length: end - start }, () => new Set());
  }

  add(page: number, value: number): void {
    if (page >= this.start && page < this.end) this.#seen[page - this.start].add(value);
  }

  allows(page: number, value: number): boolean {
    return this.#seen[page - this.start].has(value);
  }

  expected(page: number): string {
    return [...this.#seen[page - this.start]].join(" or ");
  }
}
