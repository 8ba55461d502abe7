/**
 * Which pages a streamed dispatch sends home as soon as its steps are done: those that it has written, will not use again, and
 * has no room for until its end. Left for the step that needs their frames, they would have to be waited for behind the kernels
 * that are in the device's queue by then, and what a device has copied early would lie in staging memory so long. Pure geometry.
 */

import { elementsOf, pagesOf } from "../footprint.js";
import { isSameMapping } from "../pager.js";
import type { PageRange } from "./frames-left.js";
import type { BoundOperand } from "./operand-pages.js";
import { countPages } from "./step-plan.js";

export class LeavingPages {
  readonly #operands: readonly BoundOperand[];
  readonly #pages: number;
  readonly #pageSize: number;
  /** What invocations before this one use has to leave. */
  #end = 0;
  /** By operand: pages before this one have been taken. */
  readonly #taken: number[];

  /** `pages` have to leave, those that are used first. */
  constructor(operands: readonly BoundOperand[], pages: number, pageSize: number) {
    this.#operands = operands;
    this.#pages = pages;
    this.#pageSize = pageSize;
    this.#taken = operands.map(() => 0);
  }

  /** Does all that the first `end` invocations use have to leave? To be asked of one step after the other. */
  includes(end: number): boolean {
    if (this.#pages === 0 || countPages(this.#operands, 0, end, this.#pageSize) > this.#pages) return false;
    this.#end = end;
    return true;
  }

  /** Of what has to leave: the pages, in the address space, that only the first `completed` invocations use. Each comes once. */
  take(completed: number): PageRange[] {
    const done = Math.min(completed, this.#end);
    if (done === 0) return [];
    const ranges: PageRange[] = [];
    for (const [i, operand] of this.#operands.entries()) {
      if (!operand.written || operand.footprint === "whole") continue;
      const { page, pages } = this.#pagesOf(operand, 0, done);
      const start = this.#taken[i];
      const end = Math.min(page + pages, this.#firstUsed(operand, completed));
      if (end <= start) continue;
      this.#taken[i] = end;
      ranges.push({ start: operand.mapping.page + start, end: operand.mapping.page + end });
    }
    return ranges;
  }

  /** The first page of the operand's array that invocations from `from` on use, under any name. */
  #firstUsed({ mapping }: BoundOperand, from: number): number {
    const used = this.#operands
      .filter((operand) => isSameMapping(operand.mapping, mapping))
      .map((operand) => this.#pagesOf(operand, from, 1));
    return Math.min(...used.map(({ page, pages }) => (pages === 0 ? Infinity : page)));
  }

  #pagesOf(operand: BoundOperand, first: number, count: number): { page: number; pages: number } {
    return pagesOf(operand, elementsOf(operand, first, count), this.#pageSize);
  }
}
