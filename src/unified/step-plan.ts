/**
 * How a dispatch is cut into steps that fit into device memory. Pure: from geometry and counts to a plan.
 *
 * Resident: everything that is used fits at once; it is loaded first, and steps only keep the event loop alive.
 * Streamed: each step loads what it uses; steps end on page boundaries of all arrays where they can, so that no page is
 * used by two steps.
 */

import { MemoryError } from "../mm/errors.js";
import { alignment, elementsOf, type Operand, pagesOf } from "./footprint.js";

/** Bytes that one streamed step uses at most: small enough to stay in a processor's cache between copy and kernel. */
const STREAMED_STEP_BYTES = 4 * 1024 * 1024;
const RESIDENT_STEP_BYTES = 32 * 1024 * 1024;

export type DispatchMode = "resident" | "streamed";

export interface StepPlan {
  readonly mode: DispatchMode;
  /** Pages that whole arrays, and in resident mode all others, hold during the dispatch. */
  readonly heldPages: number;
  /** Invocations of the step that begins at `first`. */
  stepAt(first: number): number;
}

export interface PlanRequest {
  readonly kernel: string;
  readonly operands: readonly Operand[];
  readonly invocations: number;
  readonly pageSize: number;
  /** Frames of the device that may be used. */
  readonly frames: number;
  /** Steps in flight beside the one that runs. */
  readonly lookahead: number;
  readonly mode: "auto" | DispatchMode;
}

/** Throws ENOMEM, with both numbers, when one step or the resident whole exceeds device memory. */
export function planSteps(request: PlanRequest): StepPlan {
  const { operands, invocations, pageSize, frames, mode, kernel } = request;
  const total = countPages(operands, 0, invocations, pageSize);
  if (mode !== "streamed" && total <= frames) {
    const unit = alignment(operands, pageSize);
    const limit = Math.max(1, Math.floor(RESIDENT_STEP_BYTES / pageSize));
    const streamed = operands.filter(({ footprint }) => footprint !== "whole");
    return {
      mode: "resident",
      heldPages: total,
      stepAt: (first) => largestStep(streamed, first, invocations, limit, unit, pageSize),
    };
  }
  if (mode === "resident") {
    throw new MemoryError(
      "ENOMEM",
      `kernel "${kernel}" uses ${total * pageSize} bytes at once, more than ${frames * pageSize} bytes of device memory`,
    );
  }
  return planStreamed(request);
}

function planStreamed({ kernel, operands, invocations, pageSize, frames, lookahead }: PlanRequest): StepPlan {
  const streamed = operands.filter(({ footprint }) => footprint !== "whole");
  const heldPages = countPages(
    operands.filter(({ footprint }) => footprint === "whole"),
    0,
    1,
    pageSize,
  );
  const unit = alignment(streamed, pageSize);
  const needed = largestSingle(streamed, invocations, unit, pageSize);
  const available = frames - heldPages;
  if (needed > available) {
    const bytes = (needed + heldPages) * pageSize;
    throw new MemoryError(
      "ENOMEM",
      `one step of kernel "${kernel}" needs ${bytes} bytes of device memory, more than the ${frames * pageSize} bytes that the device has`,
    );
  }
  const share = Math.floor(available / (1 + lookahead));
  const target = Math.max(Math.floor(STREAMED_STEP_BYTES / pageSize), countPages(streamed, 0, unit, pageSize));
  const limit = Math.max(needed, Math.min(share, target));
  return {
    mode: "streamed",
    heldPages,
    stepAt: (first) => largestStep(streamed, first, invocations, limit, unit, pageSize),
  };
}

function countPages(operands: readonly Operand[], first: number, count: number, pageSize: number): number {
  let pages = 0;
  for (const operand of operands) pages += pagesOf(operand, elementsOf(operand, first, count), pageSize).pages;
  return pages;
}

/** Pages that the hungriest single invocation uses; footprints repeat after `unit` invocations, save at the ends. */
function largestSingle(operands: readonly Operand[], invocations: number, unit: number, pageSize: number): number {
  let largest = 0;
  const middle = Math.floor(invocations / 2);
  for (let i = 0; i < Math.min(unit, invocations); i++) {
    largest = Math.max(largest, countPages(operands, i, 1, pageSize));
    const inner = middle + i;
    if (inner < invocations) largest = Math.max(largest, countPages(operands, inner, 1, pageSize));
  }
  return largest;
}

/** The largest step from `first` on within `limit` pages: to the end, to a page boundary of all arrays, or as far as it goes. */
function largestStep(
  operands: readonly Operand[],
  first: number,
  invocations: number,
  limit: number,
  unit: number,
  pageSize: number,
): number {
  const rest = invocations - first;
  const fits = (count: number): boolean => countPages(operands, first, count, pageSize) <= limit;
  if (fits(rest)) return rest;
  let low = 1;
  let high = rest;
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (fits(middle)) low = middle;
    else high = middle;
  }
  const aligned = Math.floor((first + low) / unit) * unit - first;
  return aligned > 0 ? aligned : low;
}
