/**
 * How a dispatch is cut into steps that fit into device memory. Pure: from geometry and counts to a plan.
 *
 * Resident: everything that is used fits at once; it is loaded first, and steps only keep the event loop alive.
 * Streamed: each step loads what it uses; steps end on page boundaries of all arrays where they can, so that no page is
 * used by two steps.
 */

import { MemoryError } from "../../mm/errors.js";
import { alignment, type ElementRange, elementsOf, type Footprint, type Operand, pagesOf } from "../footprint.js";

/**
 * Bytes that one streamed step uses at most, by how many are on their way beside it. Small enough to stay in a processor's cache
 * between copy and kernel; larger where each step costs the waking of another thread as well, which nobody waits for where the
 * next step is in the device's queue by then.
 */
const STEP_BYTES = [4, 8, 4].map((mebibytes) => mebibytes * 1024 * 1024);
const RESIDENT_STEP_BYTES = 32 * 1024 * 1024;

export interface StepPlan {
  readonly mode: "resident" | "streamed";
  /** Pages that whole arrays, and in resident mode all others, hold during the dispatch. */
  readonly heldPages: number;
  /** Steps that may be on their way beside the one that runs: fewer than asked for where they would not all fit. */
  readonly lookahead: number;
  /** Pages that have to leave the device before the last step: those that were used first. */
  readonly leavingPages: number;
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
  /** Those that a kernel can have side by side; default all. */
  readonly runFrames?: number;
  /** Steps that may be on their way beside the one that runs: see `Device`. */
  readonly lookahead: number;
  /** Steps run beside this thread: a resident dispatch is one. Default false. */
  readonly runsBeside?: boolean;
  /** Invocations that a step is a multiple of, unless it is the last: default 1. */
  readonly granule?: number;
  readonly mode: "auto" | StepPlan["mode"];
}

/** Throws ENOMEM, with both numbers, when one step, what it uses of one array, or the resident whole exceeds device memory. */
export function planSteps(request: PlanRequest): StepPlan {
  const { granule = 1, invocations: count } = request;
  if (granule === 1) return planSingle(request);
  // A step of whole granules is one of invocations that use as much as a granule does. The last may be none: nothing uses
  // what lies behind the elements of the last invocation.
  const operands = request.operands.map((operand) => ({
    ...operand,
    length: endOf(elementsOf(operand, 0, count)),
    footprint: timesAsMuch(operand.footprint, granule),
  }));
  const plan = planSingle({ ...request, operands, invocations: Math.ceil(count / granule) });
  const stepAt = (first: number): number => Math.min(plan.stepAt(first / granule) * granule, count - first);
  return { ...plan, stepAt };
}

function endOf({ first, length }: ElementRange): number {
  return first + length;
}

function timesAsMuch(footprint: Footprint, granule: number): Footprint {
  return footprint === "whole" ? footprint : { ...footprint, each: footprint.each * granule };
}

function planSingle(request: PlanRequest): StepPlan {
  const { operands, invocations, pageSize, frames, runFrames = frames, lookahead, mode, kernel } = request;
  if (runFrames < frames) for (const operand of operands) refuseLongRun(operand, request, runFrames);
  const total = countPages(operands, 0, invocations, pageSize);
  if (mode !== "streamed" && total <= frames) {
    const unit = alignment(operands, pageSize);
    const limit = request.runsBeside === true ? total : Math.max(1, Math.floor(RESIDENT_STEP_BYTES / pageSize));
    const streamed = operands.filter(({ footprint }) => footprint !== "whole");
    return {
      mode: "resident",
      heldPages: total,
      lookahead,
      leavingPages: 0,
      stepAt: (first) => largestStep(streamed, first, invocations, limit, runFrames, unit, pageSize),
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

/** The part of an array that one step uses is a run of the device's frames. */
function refuseLongRun(operand: Operand, { kernel, invocations, pageSize }: PlanRequest, runFrames: number): void {
  if (boundOfSingle([operand], pageSize) <= runFrames && operand.footprint !== "whole") return;
  const needed =
    operand.footprint === "whole"
      ? countPages([operand], 0, invocations, pageSize)
      : largestSingle([operand], invocations, alignment([operand], pageSize), pageSize);
  if (needed <= runFrames) return;
  throw new MemoryError(
    "ENOMEM",
    `kernel "${kernel}" needs ${needed * pageSize} bytes of "${operand.name}" side by side, more than the ${runFrames * pageSize} bytes of one buffer of the device (on WebGPU, its maxStorageBufferBindingSize)`,
  );
}

function planStreamed({
  kernel,
  operands,
  invocations,
  pageSize,
  frames,
  runFrames = frames,
  lookahead,
}: PlanRequest): StepPlan {
  const streamed = operands.filter(({ footprint }) => footprint !== "whole");
  const heldPages = countPages(
    operands.filter(({ footprint }) => footprint === "whole"),
    0,
    1,
    pageSize,
  );
  const unit = alignment(streamed, pageSize);
  const available = frames - heldPages;
  const targetWith = (ahead: number): number =>
    Math.max(Math.floor(STEP_BYTES[ahead] / pageSize), countPages(streamed, 0, unit, pageSize));
  const shareWith = (ahead: number): number => Math.min(Math.floor(available / (1 + ahead)), targetWith(ahead));
  const leavingPages = Math.max(0, countPages(operands, 0, invocations, pageSize) - frames);
  const stream = (limit: number, ahead: number): StepPlan => ({
    mode: "streamed",
    heldPages,
    lookahead: ahead,
    leavingPages,
    stepAt: (first) => largestStep(streamed, first, invocations, limit, runFrames, unit, pageSize),
  });
  const bound = boundOfSingle(streamed, pageSize);
  if (bound <= shareWith(lookahead)) return stream(shareWith(lookahead), lookahead);
  const needed = largestSingle(streamed, invocations, unit, pageSize);
  if (needed > available) {
    const bytes = (needed + heldPages) * pageSize;
    throw new MemoryError(
      "ENOMEM",
      `one step of kernel "${kernel}" needs ${bytes} bytes of device memory, more than the ${frames * pageSize} bytes that the device has`,
    );
  }
  // Steps in flight would take each other's pages where an invocation needs more than its share.
  for (let ahead = lookahead; ahead > 0; ahead--)
    if (needed <= shareWith(ahead)) return stream(shareWith(ahead), ahead);
  return stream(Math.max(needed, Math.min(available, targetWith(lookahead))), 0);
}

export function countPages(operands: readonly Operand[], first: number, count: number, pageSize: number): number {
  let pages = 0;
  for (let i = 0; i < operands.length; i++) {
    const { page, pages: used } = pagesOf(operands[i], elementsOf(operands[i], first, count), pageSize);
    // An array that is given under two names is on the device once: what an operand before it uses is counted there.
    let shared = 0;
    for (let j = 0; j < i; j++) {
      if (operands[i].mapping === undefined || operands[j].mapping !== operands[i].mapping) continue;
      const other = pagesOf(operands[j], elementsOf(operands[j], first, count), pageSize);
      shared = Math.max(shared, Math.min(page + used, other.page + other.pages) - Math.max(page, other.page));
    }
    pages += used - shared;
  }
  return pages;
}

/** Pages that no single invocation exceeds; often enough to know, and quicker than `largestSingle`. */
function boundOfSingle(operands: readonly Operand[], pageSize: number): number {
  let pages = 0;
  for (const { footprint, stride } of operands) {
    if (footprint === "whole") continue;
    const { each, before = 0, after = 0 } = footprint;
    pages += Math.floor(((before + each + after) * stride + pageSize - 2) / pageSize) + 1;
  }
  return pages;
}

/**
 * Pages that the hungriest single invocation uses. From one to `unit` invocations later a sum of pages changes by the
 * same amount everywhere between two places where the start or the end of an array begins to cut a halo off: so the
 * hungriest is among the first or the last `unit` invocations of such a stretch.
 */
function largestSingle(operands: readonly Operand[], invocations: number, unit: number, pageSize: number): number {
  let largest = 0;
  let next = 0;
  for (const bound of stretches(operands, invocations)) {
    const end = Math.min(bound + unit, invocations);
    for (next = Math.max(next, bound - unit); next < end; next++) {
      largest = Math.max(largest, countPages(operands, next, 1, pageSize));
    }
  }
  return largest;
}

/** Invocations at which an array's start or end begins or ceases to matter to a halo, in order. */
function stretches(operands: readonly Operand[], invocations: number): number[] {
  const bounds = [0, invocations];
  for (const { footprint, length } of operands) {
    if (footprint === "whole") continue;
    const { each, before = 0, after = 0 } = footprint;
    bounds.push(Math.ceil(before / each), Math.floor((length - after) / each));
  }
  return bounds.map((bound) => Math.min(Math.max(bound, 0), invocations)).toSorted((a, b) => a - b);
}

/** The largest step from `first` on within `limit` pages, and `runFrames` of each array: to the end, to a page boundary of all arrays, or as far as it goes. */
export function largestStep(
  operands: readonly Operand[],
  first: number,
  invocations: number,
  limit: number,
  runFrames: number,
  unit: number,
  pageSize: number,
): number {
  const rest = invocations - first;
  const fits = (count: number): boolean =>
    countPages(operands, first, count, pageSize) <= limit &&
    (limit <= runFrames ||
      operands.every((operand) => pagesOf(operand, elementsOf(operand, first, count), pageSize).pages <= runFrames));
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
