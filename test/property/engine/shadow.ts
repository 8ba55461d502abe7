/**
 * The flat truth beside an address space: for each mapped page the value that fills it. A store is entered at the moment
 * at which it happens, so that what a page holds between two moments is known even while operations overlap.
 *
 * Two things are less sharp. A page that was cleared at a moment which could not be told from another event may hold
 * either value, until it is looked at. And somebody who reads over a span of time may see any value of that span.
 */

import type { Behind, SharedObject } from "./shared-object.js";

/** Among the values of a page: what the page shows once it is given up. */
const GIVEN_UP = -2;

interface ShadowPage {
  /** What the page may hold, if it is the mapping's own; null while it is what lies behind the mapping. */
  own: Set<number> | null;
  /** Null for anonymous memory, behind which there are zeros. */
  readonly behind: Behind | null;
}

export class Shadow {
  /** By page number; a page that is not mapped is missing. */
  readonly #pages = new Map<number, ShadowPage>();
  readonly #readers = new Set<SpanOfReading>();
  /** Does a private mapping of an object have a page of its own here? A fault may have made it one without a store. */
  readonly #isOwn: (page: number) => boolean;

  constructor(isOwn: (page: number) => boolean) {
    this.#isOwn = isOwn;
  }

  has(page: number): boolean {
    return this.#pages.has(page);
  }

  get pages(): Iterable<number> {
    return this.#pages.keys();
  }

  get size(): number {
    return this.#pages.size;
  }

  map(start: number, end: number): void {
    for (let page = start; page < end; page++) {
      this.#pages.set(page, { own: new Set([0]), behind: null });
      this.#tell(page, 0);
    }
  }

  mapObject(start: number, end: number, object: SharedObject, first: number, shared: boolean): void {
    object.shadows.add(this);
    for (let page = start; page < end; page++) {
      const index = first + (page - start);
      this.#pages.set(page, { own: null, behind: { object, index, shared } });
      this.#tell(page, object.value(index));
    }
  }

  unmap(start: number, end: number): void {
    for (const page of this.#pages.keys()) if (page >= start && page < end) this.#pages.delete(page);
  }

  inherit(parent: Shadow): void {
    for (const [page, { own, behind }] of parent.#pages) {
      behind?.object.shadows.add(this);
      this.#pages.set(page, { own: own === null ? null : new Set(own), behind });
    }
  }

  /** What lies behind the page, null for anonymous memory. */
  behind(page: number): Behind | null {
    return this.#pages.get(page)?.behind ?? null;
  }

  /** Somebody stores to the page through this address space. */
  write(page: number, value: number): void {
    const known = this.#pages.get(page);
    if (known?.behind?.shared === true) return known.behind.object.write(known.behind.index, value);
    this.#pages.set(page, { own: new Set([value]), behind: known?.behind ?? null });
    this.#tell(page, value);
  }

  /** Somebody stored to an object: all mappings see it but those that have a page of their own. */
  objectWritten(object: SharedObject, index: number, before: number, value: number): void {
    for (const [page, known] of this.#pages) {
      if (known.behind?.object !== object || known.behind.index !== index) continue;
      if (!known.behind.shared && this.#isOwn(page)) {
        known.own ??= new Set([before]);
        if (known.own.delete(GIVEN_UP)) known.own.add(before);
        continue;
      }
      if (known.own?.has(GIVEN_UP) === true) known.own = null;
      if (known.own === null) this.#tell(page, value);
    }
  }

  /** The page was given up. */
  cleared(page: number): void {
    const known = this.#pages.get(page);
    if (known === undefined || known.behind?.shared === true) return;
    known.own = known.behind === null ? new Set([0]) : null;
    this.#tell(page, behindOf(known));
  }

  /** The page may have been given up just now. */
  maybeCleared(page: number): void {
    const known = this.#pages.get(page);
    if (known === undefined || known.own === null) return;
    known.own.add(GIVEN_UP);
    this.#tell(page, behindOf(known));
  }

  /** Is that what the page holds? From now on it holds exactly that. */
  agrees(page: number, value: number): boolean {
    const known = this.#pages.get(page);
    if (known === undefined) return false;
    const shown = behindOf(known);
    if (known.own === null) return value === shown;
    const mayBeGivenUp = known.own.has(GIVEN_UP) && value === shown;
    if (known.own.has(value)) {
      if (known.own.size > 1 && !mayBeGivenUp) known.own = new Set([value]);
      return true;
    }
    if (mayBeGivenUp) known.own = known.behind === null ? new Set([0]) : null;
    return mayBeGivenUp;
  }

  expected(page: number): string {
    const known = this.#pages.get(page);
    if (known === undefined) return "nothing, since it is not mapped";
    return [...valuesOf(known)].join(" or ");
  }

  /** Somebody begins to read pages `[start, end)`. */
  beginReading(start: number, end: number): SpanOfReading {
    const reader = new SpanOfReading(start, end);
    for (let page = start; page < end; page++) {
      const known = this.#pages.get(page);
      for (const value of known === undefined ? [] : valuesOf(known)) reader.add(page, value);
    }
    this.#readers.add(reader);
    return reader;
  }

  endReading(reader: SpanOfReading): void {
    this.#readers.delete(reader);
  }

  #tell(page: number, value: number): void {
    for (const reader of this.#readers) reader.add(page, value);
  }
}

function behindOf({ behind }: ShadowPage): number {
  return behind === null ? 0 : behind.object.value(behind.index);
}

function* valuesOf(known: ShadowPage): Generator<number> {
  if (known.own === null) yield behindOf(known);
  else for (const value of known.own) yield value === GIVEN_UP ? behindOf(known) : value;
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
