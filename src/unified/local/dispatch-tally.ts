/** What a dispatch has cost, for its report: what moved meanwhile, how long that took, and whether another way were better. */

import type { AttachedDevice } from "../../device/attached-device.js";
import type { Moved } from "../../trace/counters.js";
import type { DispatchMode, DispatchReport } from "../kernel.js";
import type { DispatchPlan } from "./dispatch-plan.js";

/** Times that what is used was moved, from which on it is said. */
const TIMES_MOVED = 4;
/** Milliseconds of a dispatch that are worth a word. */
const LONG = 50;
/**
 * What the CPU would need, roughly: four times what one pass over the bytes takes, and beside that as long as one that
 * calculates; a GPU does that so many times as fast, a program that plays one no faster. Waiting for the answer of a round
 * is not the kernel's time, and a kernel that asks for its pages takes four times as long.
 */
const BYTES_PER_MILLISECOND = 2 ** 18;
const GPU_TIMES_AS_FAST = 16;
const ROUND_MILLISECONDS = 1;
const PAGED_TIMES_AS_LONG = 4;

export class DispatchTally {
  readonly #attached: AttachedDevice;
  readonly #before: { readonly upload: number; readonly download: number; readonly compute: number };
  readonly #toDevice: number;
  readonly #toHost: number;

  /** What is counted from now on is the dispatch's. */
  constructor(attached: AttachedDevice) {
    this.#attached = attached;
    this.#before = { ...attached.counters.time };
    this.#toDevice = bytesOf(attached.counters.toDevice);
    this.#toHost = bytesOf(attached.counters.toHost);
  }

  report({ mode, why }: DispatchPlan, steps: number, pages: number, invocations: number): DispatchReport {
    const { counters, machine } = this.#attached;
    const before = this.#before;
    const moved = {
      toDevice: bytesOf(counters.toDevice) - this.#toDevice,
      toHost: bytesOf(counters.toHost) - this.#toHost,
    };
    const footprintBytes = pages * machine.pageSize;
    const phases = {
      upload: counters.time.upload - before.upload,
      evict: counters.time.download - before.download,
      compute: counters.time.compute - before.compute,
    };
    const onCpu =
      footprintBytes / BYTES_PER_MILLISECOND +
      timesAsFast(mode, this.#attached.device.isSoftware === true) *
        Math.max(0, phases.compute - (mode === "paged" ? steps * ROUND_MILLISECONDS : 0));
    const advice = adviceOf(moved.toDevice + moved.toHost, footprintBytes, phases, onCpu);
    const report = { mode, why, steps, invocations, moved, footprintBytes, phases };
    return advice === null ? report : { ...report, advice };
  }
}

function bytesOf(causes: Readonly<Record<string, Moved>>): number {
  return Object.values(causes).reduce((sum, { bytes }) => sum + bytes, 0);
}

function timesAsFast(mode: DispatchMode, isSoftware: boolean): number {
  return (isSoftware ? 1 : GPU_TIMES_AS_FAST) / (mode === "paged" ? PAGED_TIMES_AS_LONG : 1);
}

function adviceOf(
  moved: number,
  used: number,
  { upload, evict, compute }: DispatchReport["phases"],
  onCpu: number,
): string | null {
  const sentences: string[] = [];
  if (moved > TIMES_MOVED * used) {
    sentences.push(
      `${moved} bytes were moved for ${used} that are used: with invocations that are near each other using what is near, or with more device memory, it would be fewer`,
    );
  }
  const copying = upload + evict;
  if (copying + compute >= LONG && copying + compute > onCpu) {
    sentences.push(
      `copies took ${Math.round(copying)} ms and the kernel ${Math.round(compute)} ms: the CPU would probably be quicker, at about ${Math.ceil(onCpu)} ms`,
    );
  }
  return sentences.length > 0 ? sentences.join("; ") : null;
}
