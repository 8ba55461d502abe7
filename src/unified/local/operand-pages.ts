/**
 * The pages of a dispatch's arrays, on their way to the device: what pins forbid is refused by name, and what other threads
 * copy just now is waited for.
 */

import { MemoryError } from "../../mm/errors.js";
import { type ElementRange, elementsOf, elementsOn, type Operand, pagesOf } from "../footprint.js";
import type { Checkpoint } from "../operation-queue.js";
import type { BoundArray } from "../pager.js";
import type { PinMode } from "../pin.js";
import type { Engine } from "./engine.js";
import { findThreadPin, loadPastCopies } from "./thread-pins.js";

/** An array of a dispatch. What nobody knows before counts as "whole". */
export type BoundOperand = Omit<BoundArray, "footprint"> & Operand;

export class OperandPages {
  readonly #engine: Engine;
  readonly #kernel: string;

  constructor(engine: Engine, kernel: string) {
    this.#engine = engine;
    this.#kernel = kernel;
  }

  /** Brings pages of an array to the device; their frames, which nothing holds yet. */
  async load(operand: BoundOperand, page: number, pages: number, checkpoint: Checkpoint): Promise<Int32Array> {
    const { machine, residency, sharing } = this.#engine;
    const start = operand.mapping.page + page;
    const end = start + pages;
    const inPlace = this.readsInPlace(operand);
    const load = (): Promise<Int32Array> => residency.load(start, end, "kernel", checkpoint, inPlace);
    if (sharing === null) return load();
    const refuse = (): void => this.#refusePinnedPages(operand, page, pages);
    return loadPastCopies(sharing.ports, machine.environment, start, end, checkpoint, refuse, load);
  }

  /** A coherent device reaches host memory: what it only reads, and a pin only reads, can stay there. */
  readsInPlace({ written }: BoundOperand): boolean {
    return this.#engine.attached.driver.kind === "coherent" && !written;
  }

  /** A page that a pin holds in host memory cannot go to the device: better to say so before anything has run. */
  refusePinned(operands: readonly BoundOperand[], invocations: number): void {
    for (const operand of operands) {
      const elements = elementsOf(operand, 0, invocations);
      const { page, pages } = pagesOf(operand, elements, this.#engine.machine.pageSize);
      if (pages > 0) this.#refusePinnedPages(operand, page, pages, elements);
    }
  }

  #refusePinnedPages(
    operand: BoundOperand,
    page: number,
    pages: number,
    needed: ElementRange = elementsOn(operand, page, page + pages, this.#engine.machine.pageSize),
  ): void {
    const { mapping, label } = operand;
    const reads = this.readsInPlace(operand);
    const refuse = (mode: PinMode, { first, length }: ElementRange, whose: string): never => {
      throw new MemoryError(
        "EBUSY",
        `kernel "${this.#kernel}" needs elements ${needed.first} to ${needed.first + needed.length} of array "${label}", on a page that a ${mode} pin of ${first} to ${first + length}${whose} holds in host memory`,
      );
    };
    for (const pin of mapping.pins) {
      if ((pin.mode === "read" && reads) || pin.first >= page + pages || pin.end <= page) continue;
      const whose = pin.label === label ? "" : ` of "${pin.label}"`;
      const thread = pin.owner === undefined ? "" : ` by "${pin.owner}"`;
      refuse(pin.mode, { first: pin.start, length: pin.length }, `${whose}${thread}`);
    }
    const { machine, sharing } = this.#engine;
    if (sharing === null) return;
    const origin = mapping.page;
    findThreadPin(sharing.ports, origin + page, origin + page + pages, reads, (mode, first, end, thread) =>
      refuse(mode, elementsOn(operand, first - origin, end - origin, machine.pageSize), ` by "${thread}"`),
    );
  }
}
