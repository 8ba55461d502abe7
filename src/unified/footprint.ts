/**
 * Footprints: which elements of an array a range of invocations uses. Pure geometry; elements and pages are counted from
 * the array's start, which is the start of a page.
 */

import { MemoryError } from "../mm/errors.js";

/**
 * "whole": every invocation may use every element. `each`: invocation i uses elements `[i * each - before, (i + 1) * each
 * + after)`, as far as the array has them.
 */
export type Footprint = "whole" | { readonly each: number; readonly before?: number; readonly after?: number };

/** An array of a dispatch, as far as the geometry is concerned. */
export interface Operand {
  readonly name: string;
  readonly footprint: Footprint;
  /** Whose pages they are, where one array may be given under two names. */
  readonly mapping?: object;
  /** Bytes an element, and how many elements the array has. */
  readonly stride: number;
  readonly length: number;
}

const PARTS: ReadonlySet<string> = new Set(["each", "before", "after"]);

export interface ElementRange {
  /** First element and how many. */
  readonly first: number;
  readonly length: number;
}

/** Throws EINVAL for counts that are no whole numbers from their bound on, and for parts that do not exist. */
export function checkFootprint(name: string, footprint: Footprint): void {
  if (footprint === "whole") return;
  const { each, before = 0, after = 0 } = footprint ?? {};
  if (!Number.isSafeInteger(each) || each < 1) {
    throw new MemoryError(
      "EINVAL",
      `footprint of "${name}": each is ${each}, not a whole number of at least 1 element`,
    );
  }
  for (const [what, value] of Object.entries({ before, after })) {
    if (!Number.isSafeInteger(value) || value < 0) {
      throw new MemoryError(
        "EINVAL",
        `footprint of "${name}": ${what} is ${value}, not a whole number of at least 0 elements`,
      );
    }
  }
  const unknown = Object.keys(footprint).find((part) => !PARTS.has(part));
  if (unknown !== undefined) {
    throw new MemoryError("EINVAL", `footprint of "${name}" has a part "${unknown}", none of ${[...PARTS].join(", ")}`);
  }
}

/** The elements that invocations `[first, first + count)` use. */
export function elementsOf({ footprint, length }: Operand, first: number, count: number): ElementRange {
  if (footprint === "whole") return { first: 0, length };
  const { each, before = 0, after = 0 } = footprint;
  const start = Math.min(Math.max(first * each - before, 0), length);
  const end = Math.min((first + count) * each + after, length);
  return { first: start, length: Math.max(end - start, 0) };
}

/** The pages that elements lie on: first page and how many. */
export function pagesOf(
  { stride }: Operand,
  { first, length }: ElementRange,
  pageSize: number,
): { page: number; pages: number } {
  const page = Math.floor((first * stride) / pageSize);
  if (length === 0) return { page, pages: 0 };
  return { page, pages: Math.ceil(((first + length) * stride) / pageSize) - page };
}

/** Invocations after which all footprints come to a page boundary together: the natural unit of a step. */
export function alignment(operands: readonly Operand[], pageSize: number): number {
  let unit = 1;
  for (const { footprint, stride } of operands) {
    if (footprint !== "whole") unit = Math.max(unit, pageSize / greatestPowerOfTwo(footprint.each * stride, pageSize));
  }
  return unit;
}

/** The greatest power of two that divides `value`, at most `bound`, itself a power of two. */
function greatestPowerOfTwo(value: number, bound: number): number {
  let divisor = 1;
  while (divisor < bound && value % (divisor * 2) === 0) divisor *= 2;
  return divisor;
}

/** The elements that lie on pages `[page, end)`, as far as the array has them. */
export function elementsOn(
  { stride, length }: Pick<Operand, "stride" | "length">,
  page: number,
  end: number,
  pageSize: number,
): ElementRange {
  const first = Math.max(0, (page * pageSize) / stride);
  return { first, length: Math.min(length, (end * pageSize) / stride) - first };
}
