/** What a dispatch has cost, for its report: what moved meanwhile, how long that took, and whether another way were better. */

import type { AttachedDevice } from "../../device/attached-device.js";
import type { Moved } from "../../trace/counters.js";
import type { DispatchReport } from "../kernel.js";
import type { DispatchPlan } from "./dispatch-plan.js";

/** Times that what is used was moved, from which on it is said. */
const TIMES_MOVED = 4;
/** Times that copies took as long as the kernel, from which on it is said; milliseconds that count. */
const TIMES_AS_LONG = 16;
const LONG = 50;

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
    const advice = adviceOf(moved.toDevice + moved.toHost, footprintBytes, phases);
    const report = { mode, why, steps, invocations, moved, footprintBytes, phases };
    return advice === null ? report : { ...report, advice };
  }
}

function bytesOf(causes: Readonly<Record<string, Moved>>): number {
  return Object.values(causes).reduce((sum, { bytes }) => sum + bytes, 0);
}

function adviceOf(moved: number, used: number, { upload, evict, compute }: DispatchReport["phases"]): string | null {
  if (moved > TIMES_MOVED * used) {
    return `${moved} bytes were moved for ${used} that are used: with invocations that are near each other using what is near, or with more device memory, it would be fewer`;
  }
  const copying = upload + evict;
  if (copying < LONG || copying < TIMES_AS_LONG * compute) return null;
  return `copies took ${Math.round(copying)} ms and the kernel ${Math.round(compute)} ms: unless more is done with the data while it is on the device, the CPU would be quicker`;
}
