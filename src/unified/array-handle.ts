/** What names an array in every thread of a shared memory. Plain data that can be posted. */

import type { ElementType } from "../device/element.js";
import { MemoryError } from "../mm/errors.js";
import type { SharedMapping } from "./pager.js";

/** An array as another thread gets it, by `postMessage`; `memory.arrayFrom` makes it an array there. */
export interface ArrayHandle<T extends ElementType = ElementType> {
  readonly memory: string;
  readonly type: T;
  /** Elements. */
  readonly length: number;
  readonly label: string;
  /** Made by `as`: destroying it ends it alone. */
  readonly isView: boolean;
  readonly mapping: SharedMapping;
}

/** EINVAL for what is no handle, or one of another memory. */
export function checkHandle(handle: unknown, identity: string | null): asserts handle is ArrayHandle {
  const { memory, mapping } = (handle ?? {}) as Partial<ArrayHandle>;
  if (typeof memory !== "string" || !(mapping?.page instanceof Int32Array))
    throw new MemoryError("EINVAL", "arrayFrom takes the handle of an array, as array.handle gives it");
  if (memory !== identity) throw new MemoryError("EINVAL", "the handle is of an array of another memory");
}
