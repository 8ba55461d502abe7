/**
 * The pages of a dispatch's arrays, on their way to the device: what pins and bindings forbid is refused by name, and what other threads
 * copy just now is waited for.
 */

import { type ElementRange, elementsOf, elementsOn, type Operand, pagesOf } from "../footprint.js";
import type { Checkpoint } from "../operation-queue.js";
import type { BoundArray } from "../pager.js";
import type { DeviceEngine } from "./engine.js";
import type { PageRange } from "./frames-left.js";
import { refuseHeld } from "./refuse-held.js";
import { loadPastCopies } from "./thread-pins.js";

/** An array of a dispatch. What nobody knows before counts as "whole". */
export type BoundOperand = Omit<BoundArray, "footprint"> & Operand;

export class OperandPages {
  readonly #engine: DeviceEngine;
  readonly #kernel: string;

  constructor(engine: DeviceEngine, kernel: string) {
    this.#engine = engine;
    this.#kernel = kernel;
  }

  /** Brings pages of an array to the device; their frames, which nothing holds yet. */
  async load(operand: BoundOperand, page: number, pages: number, checkpoint: Checkpoint): Promise<Int32Array> {
    const { machine, residency, sharing } = this.#engine;
    const start = operand.mapping.page + page;
    const end = start + pages;
    const use = { inPlace: this.readsInPlace(operand), written: operand.written };
    const load = (): Promise<Int32Array> => residency.load(start, end, "kernel", checkpoint, use);
    if (sharing === null) return load();
    const refuse = (): void => this.#refuseHeldPages(operand, page, pages);
    return loadPastCopies(sharing.ports, machine.environment, start, end, checkpoint, refuse, load);
  }

  /** A coherent device reaches host memory: what it only reads, and a pin only reads, can stay there. */
  readsInPlace({ written }: BoundOperand): boolean {
    return this.#engine.attached.driver.kind === "coherent" && !written;
  }

  /** A page that is held where it cannot be used as the kernel does: better to say so before anything has run. */
  refuseHeld(operands: readonly BoundOperand[], invocations: number): void {
    for (const operand of operands) {
      const elements = elementsOf(operand, 0, invocations);
      const { page, pages } = pagesOf(operand, elements, this.#engine.machine.pageSize);
      if (pages > 0) this.#refuseHeldPages(operand, page, pages, elements);
    }
  }

  /** The pages that a dispatch may use, in the address space. */
  rangesOf(operands: readonly BoundOperand[], invocations: number): PageRange[] {
    return operands.map((operand) => {
      const { page, pages } = pagesOf(operand, elementsOf(operand, 0, invocations), this.#engine.machine.pageSize);
      const start = operand.mapping.page + page;
      return { start, end: start + pages };
    });
  }

  #refuseHeldPages(
    operand: BoundOperand,
    page: number,
    pages: number,
    elements: ElementRange = elementsOn(operand, page, page + pages, this.#engine.machine.pageSize),
  ): void {
    const inPlace = this.readsInPlace(operand);
    refuseHeld(this.#engine, { array: operand, by: `kernel "${this.#kernel}"`, elements, inPlace }, page, pages);
  }
}
