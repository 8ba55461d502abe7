/**
 * Dispatches whose kernels ask for pages: round by round, units run that find all their pages, and what the others miss is
 * brought in. Units wait in order; a window of them is tried at once, and finished before the next.
 *
 * Invariants: every unit runs exactly once. A unit whose own pages fit into the device runs, however little else does.
 */

import type { DeviceKernel, PagedRound, PagedRun, PagedUnits } from "../../device/driver.js";
import { MemoryError } from "../../mm/errors.js";
import { DispatchError } from "../dispatch-error.js";
import type { Checkpoint, Operation } from "../operation-queue.js";
import type { Dispatch } from "../pager.js";
import type { DeviceEngine } from "./engine.js";
import type { BoundOperand, OperandPages } from "./operand-pages.js";
import { PagedPages } from "./paged-pages.js";
import { decide, WindowSize } from "./paged-window.js";
import { Turns } from "./turn.js";

/** Bits of no page. */
const NOTHING = new Uint32Array(0);

export interface PagedResult {
  readonly rounds: number;
  /** Pages that units have used. */
  readonly pages: number;
}

export async function dispatchPaged(
  engine: DeviceEngine,
  label: string,
  kernel: DeviceKernel,
  operands: readonly BoundOperand[],
  load: OperandPages,
  dispatch: Dispatch,
  { checkpoint, signal }: Operation,
): Promise<PagedResult> {
  const { invocations } = dispatch;
  if (invocations === 0) return { rounds: 0, pages: 0 };
  const pages = new PagedPages(engine, load, operands);
  const { shape, uniforms, bindings } = dispatch;
  const run = await kernel.beginPaged!({ shape, uniforms, bindings, operands: pages.operands });
  const rounds = new Rounds(engine, label, kernel, pages, run, dispatch, checkpoint);
  try {
    rounds.begin();
    await rounds.runAll();
    return { rounds: rounds.count, pages: pages.used };
  } catch (error) {
    const aborted = signal?.aborted === true && error === signal.reason;
    if (aborted || (rounds.count === 0 && error instanceof MemoryError)) throw error;
    throw DispatchError.of(error, label, rounds.completed, invocations);
  } finally {
    run.close();
  }
}

class Rounds {
  count = 0;
  readonly #label: string;
  readonly #pages: PagedPages;
  readonly #run: PagedRun;
  readonly #dispatch: Dispatch;
  readonly #checkpoint: Checkpoint;
  readonly #turns: Turns;
  readonly #pageSize: number;
  readonly #size: WindowSize;
  /** Invocations of a unit, where footprints can tell by it; else 0. */
  readonly #perUnit: number;
  /** Units that were tried and have to wait, in order; all before `#next`. */
  #waiting = new Uint32Array(0);
  /** The first that was never tried. */
  #next = 0;
  #ran = 0;

  constructor(
    engine: DeviceEngine,
    label: string,
    kernel: DeviceKernel,
    pages: PagedPages,
    run: PagedRun,
    dispatch: Dispatch,
    checkpoint: Checkpoint,
  ) {
    const { shape, invocations } = dispatch;
    this.#label = label;
    this.#pages = pages;
    this.#run = run;
    this.#dispatch = dispatch;
    this.#checkpoint = checkpoint;
    this.#turns = new Turns(engine.machine.environment);
    this.#pageSize = engine.machine.pageSize;
    this.#size = new WindowSize(run.mostUnits);
    const size = kernel.workgroups?.size[0] ?? 1;
    this.#perUnit = run.units === invocations ? 1 : invocations === shape[0] ? size : 0;
  }

  /** Invocations that have run, as far as whole units tell. */
  get completed(): number {
    return Math.floor((this.#ran / this.#run.units) * this.#dispatch.invocations);
  }

  begin(): void {
    this.#pages.begin(this.#run);
    if (this.#pages.areAllHere) this.#size.widen();
  }

  async runAll(): Promise<void> {
    while (this.#ran < this.#run.units) await this.#runWindow(await this.#nextWindow());
  }

  /** Those that have to wait go first. What footprints say of the others is brought in before they are tried. */
  async #nextWindow(): Promise<PagedUnits> {
    const most = this.#size.units;
    if (this.#waiting.length > 0) {
      const list = this.#waiting.slice(0, most);
      this.#waiting = this.#waiting.slice(list.length);
      return { list };
    }
    const first = this.#next;
    const count = this.#declaredUnits(first, Math.min(most, this.#run.units - first));
    this.#next = first + count;
    if (this.#perUnit > 0) {
      const declared = this.#pages.declared(first * this.#perUnit, count * this.#perUnit);
      await this.#pages.bring(declared, NOTHING, this.#checkpoint);
    }
    return { first, count };
  }

  /** As many units, up to `most`, as footprints leave room for other pages with. */
  #declaredUnits(first: number, most: number): number {
    const perUnit = this.#perUnit;
    if (perUnit === 0) return most;
    const invocations = this.#pages.declaredStep(first * perUnit, most * perUnit, this.#dispatch.invocations);
    return Math.max(1, Math.floor(invocations / perUnit));
  }

  async #runWindow(window: PagedUnits): Promise<void> {
    const { frames } = this.#pages;
    let units = window;
    let left = countOf(units);
    let peak = 0;
    let fruitless = 0;
    for (let isLook = false, isFirst = true; ; isFirst = false) {
      const found = await this.#round(units);
      const pending = found.pending.length;
      const ran = left - pending;
      if (ran > 0) fruitless = 0;
      const { here, missing } = this.#pages.count(found);
      if (pending === 0) {
        this.#size.finish(isFirst ? 0 : Math.max(peak, Math.min(here + missing, frames)), frames);
        return;
      }
      const decision = decide({ pending, here, missing, frames, isExact: ran === 0 || isLook, fruitless });
      left = pending;
      units = { list: found.pending.slice() };
      isLook = decision.kind === "look";
      switch (decision.kind) {
        case "look":
          continue;
        case "bring": {
          const { misses, touched } = found;
          peak = Math.max(peak, decision.pages < missing ? here : here + missing);
          if (decision.pages < missing) fruitless++;
          await this.#pages.bring(this.#pages.firstMissing(misses, decision.pages), touched, this.#checkpoint);
          continue;
        }
        case "shrink":
          this.#size.shrink(decision.units);
          this.#wait(units.list);
          return;
        case "alone":
          await this.#runAlone(units.list);
          return;
        default:
          return decision satisfies never;
      }
    }
  }

  /** They go first again. */
  #wait(units: Uint32Array): void {
    const waiting = new Uint32Array(units.length + this.#waiting.length);
    waiting.set(units);
    waiting.set(this.#waiting, units.length);
    this.#waiting = waiting;
  }

  /**
   * A unit that seems to need more than there is, some of which it may have asked for only because it did not know better:
   * from nothing on, it gets the one page at a time that it comes to first.
   */
  async #runAlone(list: Uint32Array): Promise<void> {
    const { frames } = this.#pages;
    this.#pages.unmapAll();
    for (;;) {
      const { pending, misses } = await this.#round({ list });
      if (pending.length === 0) return;
      const first = misses.subarray(0, 1);
      const taken = this.#pages.mappedFrames;
      if (taken + this.#pages.firstMissing(first, 1).length - this.#pages.firstMissing(first, 0).length > frames) {
        throw new MemoryError(
          "ENOMEM",
          `one ${this.#perUnit === 1 ? "invocation" : "workgroup"} of kernel "${this.#label}" uses at least ${(taken + 1) * this.#pageSize} bytes at once, more than the ${frames * this.#pageSize} bytes of device memory`,
        );
      }
      await this.#pages.bring(first, null, this.#checkpoint);
    }
  }

  async #round(units: PagedUnits): Promise<PagedRound> {
    if (this.count > 0) {
      await this.#turns.take();
      this.#checkpoint();
    }
    this.count++;
    const found = await this.#pages.round(units);
    const ran = countOf(units) - found.pending.length;
    this.#ran += ran;
    if (ran > 0) {
      const { invocations, onProgress } = this.#dispatch;
      onProgress?.({ completed: this.completed, invocations });
    }
    return found;
  }
}

function countOf(units: PagedUnits): number {
  return units.list === undefined ? units.count : units.list.length;
}
