/**
 * Dispatches on the engine of this thread. One that is not paged is cut into steps, and each step loads what it uses, runs, and
 * lets it go. The next step's pages are loaded while a kernel runs, where the device can do both at once; and it is executed
 * before the one before is done, where the device has a queue.
 */

import type { DeviceKernel, DispatchResources, KernelSlice } from "../../device/driver.js";
import { strideOf } from "../../device/element.js";
import { unsharePages } from "../../device/unshare.js";
import { MemoryError } from "../../mm/errors.js";
import { DispatchError } from "../dispatch-error.js";
import { elementsOf, pagesOf } from "../footprint.js";
import type { DispatchReport } from "../kernel.js";
import type { Checkpoint, Operation } from "../operation-queue.js";
import type { Dispatch } from "../pager.js";
import { granuleOf, planDispatch } from "./dispatch-plan.js";
import { DispatchTally } from "./dispatch-tally.js";
import { deviceEngine } from "./device-engine.js";
import type { DeviceEngine, Engine } from "./engine.js";
import { framesLeft } from "./frames-left.js";
import { LeavingPages } from "./leaving-pages.js";
import { type BoundOperand, OperandPages } from "./operand-pages.js";
import { dispatchPaged } from "./paged-dispatch.js";
import type { StepPlan } from "./step-plan.js";
import { Turns } from "./turn.js";

/** A step whose pages are held on the device. */
interface LoadedStep {
  readonly first: number;
  readonly count: number;
  readonly invocations: number;
  readonly slices: readonly KernelSlice[];
  /** What `release` gives back. */
  readonly held: readonly Int32Array[];
}

/** A step that has been executed: `done` settles with it. */
interface RunningStep {
  readonly end: number;
  readonly done: Promise<void>;
}

export class LocalKernel {
  readonly #engine: DeviceEngine;
  readonly #kernel: DeviceKernel;
  readonly #label: string;
  readonly #pages: OperandPages;
  /** When the last step was done. */
  #lastDone = -Infinity;

  constructor(anyEngine: Engine, kernel: DeviceKernel, label: string) {
    const engine = deviceEngine(anyEngine);
    this.#engine = engine;
    this.#kernel = kernel;
    this.#label = label;
    this.#pages = new OperandPages(engine, label);
  }

  /** With nobody else's work in between, and nothing that it is known to use lost when it begins. */
  async dispatch(dispatch: Dispatch, operation: Operation): Promise<DispatchReport> {
    const { machine, attached, bound, residency } = this.#engine;
    const { invocations, arrays, shape, mode } = dispatch;
    const operands = arrays.map((array): BoundOperand => ({
      ...array,
      footprint: array.footprint ?? "whole",
      stride: strideOf(array.type),
    }));
    operation.checkpoint();
    this.#pages.refuseHeld(operands, invocations);
    const tally = new DispatchTally(attached);
    const plan = planDispatch({
      kernel: this.#label,
      operands,
      unknown: arrays.filter(({ footprint }) => footprint === null).map(({ name }) => name),
      invocations,
      granule: granuleOf(this.#kernel.workgroups, shape),
      pageSize: machine.pageSize,
      frames: framesLeft(bound, residency.frames, this.#pages.rangesOf(operands, invocations)),
      runFrames: residency.runFrames,
      runsBeside: this.#kernel.runsBeside === true,
      lookahead: this.#kernel.lookahead ?? attached.device.lookahead,
      canPage: this.#kernel.beginPaged !== undefined,
      onlyPaged: this.#kernel.onlyPaged,
      mode,
    });
    if (plan.steps !== null) {
      const steps = await this.#runSteps(plan.steps, operands, dispatch, operation);
      return tally.report(plan, steps, plan.pages, invocations);
    }
    const { rounds, pages } = await dispatchPaged(
      this.#engine,
      this.#label,
      this.#kernel,
      operands,
      this.#pages,
      dispatch,
      operation,
    );
    return tally.report(plan, rounds, pages, invocations);
  }

  /** How many steps it took. */
  async #runSteps(
    plan: StepPlan,
    operands: readonly BoundOperand[],
    { invocations, shape, uniforms, bindings, onProgress }: Dispatch,
    { checkpoint, signal }: Operation,
  ): Promise<number> {
    const { machine, residency } = this.#engine;
    const held: Int32Array[] = [];
    let completed = 0;
    let steps = 0;
    let began = false;
    let ahead: Promise<LoadedStep> | null = null;
    const running: RunningStep[] = [];
    const finishFirst = async (): Promise<void> => {
      await running[0].done;
      completed = running[0].end;
      running.shift();
      steps++;
      onProgress?.({ completed, invocations });
      if (completed === invocations) return;
      await turns.take();
      checkpoint();
    };
    const turns = new Turns(machine.environment);
    const resources: DispatchResources = { shape, uniforms, bindings };
    try {
      await this.#unshareWritten(operands, invocations, checkpoint);
      await this.#loadHeld(plan, operands, invocations, held, checkpoint);
      const leaving = new LeavingPages(operands, plan.leavingPages, machine.pageSize);
      const load = async (first: number): Promise<LoadedStep> => {
        for (const { start, end } of leaving.take(completed)) await residency.evictUnused(start, end, checkpoint);
        return this.#loadStep(plan, operands, invocations, first, leaving, checkpoint);
      };
      for (let next = 0; next < invocations;) {
        const step: LoadedStep = await (ahead ?? load(next));
        ahead = null;
        next += step.count;
        began = true;
        running.push({ end: next, done: observed(this.#execute(step, resources)) });
        if (plan.lookahead > 0 && next < invocations) ahead = observed(load(next));
        while (running.length >= Math.max(1, plan.lookahead)) await finishFirst();
      }
      while (running.length > 0) await finishFirst();
    } catch (error) {
      const loaded = await ahead?.catch(() => null);
      for (const frames of loaded?.held ?? []) residency.release(frames);
      completed = await endOf(running, completed);
      const aborted = signal?.aborted === true && error === signal.reason;
      if (aborted || (!began && error instanceof MemoryError)) throw error;
      throw DispatchError.of(error, this.#label, completed, invocations);
    } finally {
      for (const frames of held) residency.release(frames);
    }
    return steps;
  }

  /**
   * What the kernel writes becomes the arrays' own before any step has loaded what it reads, which may be a snapshot that has
   * the same pages.
   */
  async #unshareWritten(operands: readonly BoundOperand[], invocations: number, checkpoint: Checkpoint): Promise<void> {
    const { attached, machine, mm } = this.#engine;
    for (const operand of operands) {
      if (!operand.written) continue;
      const { page, pages } = pagesOf(operand, elementsOf(operand, 0, invocations), machine.pageSize);
      const start = operand.mapping.page + page;
      await unsharePages(attached, mm, start, start + pages, checkpoint);
    }
  }

  /** Loads what stays for the whole dispatch: whole arrays, or everything in resident mode. */
  async #loadHeld(
    plan: StepPlan,
    operands: readonly BoundOperand[],
    invocations: number,
    held: Int32Array[],
    checkpoint: Checkpoint,
  ): Promise<void> {
    for (const operand of operands) {
      if (plan.mode !== "resident" && operand.footprint !== "whole") continue;
      const { page, pages } = pagesOf(operand, elementsOf(operand, 0, invocations), this.#engine.machine.pageSize);
      if (pages > 0) held.push(await this.#hold(operand, page, pages, checkpoint));
    }
  }

  async #loadStep(
    plan: StepPlan,
    operands: readonly BoundOperand[],
    invocations: number,
    first: number,
    leavingPages: LeavingPages,
    checkpoint: Checkpoint,
  ): Promise<LoadedStep> {
    const { pageSize } = this.#engine.machine;
    const count = Math.min(plan.stepAt(first), invocations - first);
    const held: Int32Array[] = [];
    try {
      const slices: KernelSlice[] = [];
      const leaving = leavingPages.includes(first + count);
      for (const operand of operands) {
        const elements = elementsOf(operand, first, count);
        const { page, pages } = pagesOf(operand, elements, pageSize);
        const frames = pages === 0 ? new Int32Array(0) : await this.#hold(operand, page, pages, checkpoint);
        held.push(frames);
        const { name, type, stride, written, length: total } = operand;
        slices.push({
          name,
          type,
          ...elements,
          total,
          offset: (elements.first * stride) % pageSize,
          frames,
          written,
          leaving,
        });
      }
      return { first, count, invocations, slices, held };
    } catch (error) {
      for (const frames of held) this.#engine.residency.release(frames);
      throw error;
    }
  }

  async #hold(operand: BoundOperand, page: number, pages: number, checkpoint: Checkpoint): Promise<Int32Array> {
    const { residency } = this.#engine;
    const frames = await this.#pages.load(operand, page, pages, checkpoint);
    if (operand.written) residency.grantWrite(operand.mapping.page + page, frames);
    residency.hold(frames);
    return frames;
  }

  async #execute(step: LoadedStep, resources: DispatchResources): Promise<void> {
    const { residency, attached, machine } = this.#engine;
    const began = machine.environment.now();
    try {
      for (const { written, frames } of step.slices) if (written) residency.willWrite(frames);
      const { first, count, invocations, slices } = step;
      await this.#kernel.execute({ ...resources, first, count, invocations, slices });
    } finally {
      const now = machine.environment.now();
      // As long as the step before ran, this one was waiting.
      attached.counters.time.compute += now - Math.max(began, this.#lastDone);
      this.#lastDone = now;
      for (const frames of step.held) residency.release(frames);
    }
  }
}

/** Waits for all steps that run, in order; which invocations have completed then, without gap. */
async function endOf(running: readonly RunningStep[], completed: number): Promise<number> {
  let end = completed;
  let all = true;
  for (const step of running) {
    const isDone = await step.done.then(
      () => true,
      () => false,
    );
    all &&= isDone;
    if (all) end = step.end;
  }
  return end;
}

/** A promise that is awaited later: its rejection is not unhandled meanwhile. */
function observed<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  return promise;
}
