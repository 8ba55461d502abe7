/** One value for many elements: as the bytes of one element, and set in all of a view. */

import { type ElementType, isViewOf, nameOf, strideOf, type View, viewOf } from "../device/element.js";
import { layoutOf } from "../device/layout.js";
import { MemoryError } from "../mm/errors.js";

interface Numbers {
  fill(value: number | bigint): void;
  set(values: ArrayLike<number | bigint>): void;
}

/** An element of that value. EINVAL for what is no value of the type, TypeError for a number where a bigint belongs, or the reverse. */
export function patternOf<T extends ElementType>(type: T, value: unknown): View<T, ArrayBuffer> {
  const pattern = viewOf(type, new ArrayBuffer(strideOf(type)), 0, 1);
  const numbers = pattern as unknown as Numbers;
  if (typeof value === "number" || typeof value === "bigint") {
    if (typeof type !== "string" && value !== 0) throw refusal(type, value);
    numbers.fill(value);
  } else {
    if (!isElementOf(type, value, pattern.length)) throw refusal(type, value);
    numbers.set(value);
  }
  return pattern;
}

function isElementOf(type: ElementType, value: unknown, numbers: number): value is ArrayLike<number | bigint> {
  if (typeof value !== "object" || value === null) return false;
  const { length } = value as ArrayLike<unknown>;
  if (typeof type !== "string") return length === numbers && isViewOf(type, value);
  const { columns, rows } = layoutOf(type);
  return length === numbers || (columns === 1 && length === rows);
}

function refusal(type: ElementType, value: unknown): MemoryError {
  const takes = typeof type === "string" ? "a number, or all of one element" : "an element that its of() made, or 0";
  const given = typeof value === "object" && value !== null ? `${(value as ArrayLike<unknown>).length} of them` : value;
  return new MemoryError("EINVAL", `${nameOf(type)} is filled with ${takes}, not ${String(given)}`);
}

/** Sets all elements of a view to the pattern; it has at least one. */
export function fillView(view: View, pattern: View): void {
  if (pattern.length === 1) return (view as unknown as Numbers).fill(pattern[0]);
  (view as unknown as Numbers).set(pattern);
  for (let done = pattern.length; done < view.length; done *= 2)
    view.copyWithin(done, 0, Math.min(done, view.length - done));
}
