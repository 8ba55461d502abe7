/**
 * A shared memory object or a file, and the truth about it: for each of its pages the value that fills it. Whoever maps
 * it sees that value, at once; a private mapping until it has a page of its own.
 */

import type { PageCache } from "../../../src/mm/file/page-cache.js";
import type { Shadow } from "./shadow.js";

export class SharedObject {
  /** Address spaces that map the object, or did so once. */
  readonly shadows = new Set<Shadow>();
  readonly #values: number[];

  constructor(
    readonly cache: PageCache,
    values: readonly number[],
    /** The values of its pages when nobody has written them. */
    readonly behind: readonly number[] = values,
  ) {
    this.#values = [...values];
  }

  value(index: number): number {
    return this.#values[index];
  }

  write(index: number, value: number): void {
    const before = this.#values[index];
    this.#values[index] = value;
    for (const shadow of this.shadows) shadow.objectWritten(this, index, before, value);
  }

  get name(): string {
    return `object ${this.cache.id}`;
  }
}

/** Where a page comes from that the mapping does not have to itself. */
export interface Behind {
  readonly object: SharedObject;
  readonly index: number;
  /** A store goes to the object, and never gives the mapping a page of its own. */
  readonly shared: boolean;
}
