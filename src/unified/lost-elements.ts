/** What the engine says of pages, said of the elements of an array. */

import { type ElementType, strideOf } from "../device/element.js";
import { MemoryError } from "../mm/errors.js";
import { LostPagesError } from "../mm/lost-pages-error.js";
import type { Mapping } from "./pager.js";

/** An array whose pages may be lost. */
export interface Named {
  readonly label: string;
  readonly type: ElementType;
  readonly length: number;
  readonly mapping: Mapping;
}

/** The elements of an array on its pages `[first, end)`, as far as it has them. */
export function elementRange(
  { type, length }: Pick<Named, "type" | "length">,
  first: number,
  end: number,
  pageSize: number,
): { start: number; length: number } {
  const elements = pageSize / strideOf(type);
  const start = first * elements;
  return { start, length: Math.min(end * elements, length) - start };
}

/** An error that speaks of lost pages, as one that names the array among `arrays` whose pages they are; any other as it is. */
export function nameLost(error: unknown, arrays: readonly Named[], pageSize: number): unknown {
  if (!(error instanceof LostPagesError)) return error;
  for (const array of arrays) {
    const pages = Math.ceil((array.length * strideOf(array.type)) / pageSize);
    const first = error.first - array.mapping.page;
    if (first < 0 || first >= pages) continue;
    const { start, length } = elementRange(array, first, Math.min(first + error.end - error.first, pages), pageSize);
    return new MemoryError(
      "EIO",
      `elements ${start} to ${start + length} of array "${array.label}" were only on a device that is lost: fill them, or write whole pages, first`,
      { cause: error },
    );
  }
  return error;
}
