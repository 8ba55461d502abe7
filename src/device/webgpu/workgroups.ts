/**
 * A step's invocations as the workgroups that a GPU is asked for: numbered as invocations are, x fastest, and folded into
 * rows where they are more than one dimension may have. Pure.
 */

import { assert } from "../../mm/errors.js";
import type { DispatchShape, WorkgroupShape } from "../driver.js";

/** Workgroups of the whole dispatch in each dimension. */
export function workgroupsOf(shape: DispatchShape, { size }: WorkgroupShape): DispatchShape {
  return [Math.ceil(shape[0] / size[0]), Math.ceil(shape[1] / size[1]), Math.ceil(shape[2] / size[2])];
}

export interface WorkgroupRange {
  readonly first: number;
  /** The one after the last. */
  readonly end: number;
}

/** Of a step that begins and ends between workgroups, or with the dispatch. */
export function workgroupRange(
  { first, count }: { readonly first: number; readonly count: number },
  shape: DispatchShape,
  workgroups: WorkgroupShape,
): WorkgroupRange {
  const total = workgroupsOf(shape, workgroups);
  return {
    first: workgroupAt(first, shape, workgroups, total),
    end: workgroupAt(first + count, shape, workgroups, total),
  };
}

/** The workgroup that begins with an invocation. In several dimensions only rows, and slabs, of workgroups begin with one. */
function workgroupAt(invocation: number, shape: DispatchShape, { size }: WorkgroupShape, total: DispatchShape): number {
  const [width, height, depth] = shape;
  if (invocation === width * height * depth) return total[0] * total[1] * total[2];
  const x = invocation % width;
  const row = Math.floor(invocation / width);
  const y = row % height;
  const z = Math.floor(row / height);
  const begins =
    height === 1 && depth === 1
      ? x % size[0] === 0
      : x === 0 && y % size[1] === 0 && z % size[2] === 0 && (y === 0 || size[2] === 1 || depth === 1);
  assert(
    begins,
    `a step begins or ends at invocation ${invocation} of ${shape.join(" by ")}, within a workgroup of ${size.join(" by ")}`,
  );
  return x / size[0] + total[0] * (y / size[1] + total[1] * (z / size[2]));
}

/** One call of `dispatchWorkgroups`: workgroups from `first` on, in `y` rows of `x`. */
export interface WorkgroupRows {
  readonly first: number;
  readonly x: number;
  readonly y: number;
}

/** No call has more workgroups than are asked for: shaders need not check. What full rows leave is a call of its own. */
export function rowsOf({ first, end }: WorkgroupRange, most: number): WorkgroupRows[] {
  const calls: WorkgroupRows[] = [];
  for (let at = first; at < end;) {
    const count = Math.min(end - at, most * most);
    const y = Math.ceil(count / most);
    const x = Math.floor(count / y);
    calls.push({ first: at, x, y });
    at += x * y;
  }
  return calls;
}

/** Has the dispatch only whole workgroups? */
export function isWhole(shape: DispatchShape, { size }: WorkgroupShape): boolean {
  return shape.every((invocations, dimension) => invocations % size[dimension] === 0);
}
