/**
 * The mappings of a memory that several threads use, by numbers that every thread can give out by itself: the number of its
 * port, and a count. A thread may hear of a mapping from its maker before the pager does: it is entered without its pages
 * then, and waited for.
 *
 * Invariant: a mapping stays in the table until it is unmapped; a number is never used again.
 */

import { portOf } from "../mapping-number.js";
import type { LocalMapping } from "./local-mapping.js";

export class SharedMappings {
  readonly #mappings = new Map<number, LocalMapping>();
  readonly #closed = new Set<number>();

  add(number: number, mapping: LocalMapping): void {
    this.#mappings.set(number, mapping);
  }

  get(number: number): LocalMapping | undefined {
    return this.#mappings.get(number);
  }

  delete(number: number): void {
    this.#mappings.delete(number);
  }

  /** May the mapping still be made? */
  isToCome(number: number): boolean {
    return !this.#closed.has(portOf(number));
  }

  /** The port makes no more mappings: those that others have heard of will not come. */
  close(port: number): void {
    this.#closed.add(port);
    for (const [number, mapping] of this.#mappings) {
      if (!this.isToCome(number) && !mapping.hasPlace) mapping.fail();
    }
  }
}
