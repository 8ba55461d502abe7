/** Compiled kernels as they run in paged dispatches: units of a round, over pages that are here or not. */

import type { DispatchShape, PagedDispatch, PagedOperand, PagedRound, PagedUnits } from "../../driver.js";
import { strideOf } from "../../element.js";
import type { CompiledKernel } from "./compiled-kernel.js";
import { type Instance, instantiate, outsideOf } from "./instantiate.js";
import { type PagedMemory, UnitPages } from "./unit-pages.js";
import type { StorageUse } from "../value.js";

/** An array as the generated code has it. */
interface Pages {
  readonly page: number;
  /** Elements of the whole array, as far as the kernel may know. */
  readonly length: number;
  /** From the number of an element to that of its page, and to its number on the page. */
  readonly shift: number;
  readonly mask: number;
}

type Run = (
  first: number,
  count: number,
  shape: DispatchShape,
  arrays: readonly Pages[],
  pages: UnitPages,
  list: Uint32Array | null,
  pending: Uint32Array,
) => number;

/** A paged dispatch of a kernel in the thread that runs it. */
export interface UnitRun {
  map(page: number, frame: number, writable: boolean): void;
  /** Throws what the kernel throws. */
  round(units: PagedUnits): PagedRound;
}

export interface PagedKernel {
  begin(dispatch: PagedDispatch, memory: PagedMemory): UnitRun;
}

/** A kernel that was compiled for paged dispatches. Throws as `createStepKernel` does. */
export function createPagedKernel(compiled: CompiledKernel): PagedKernel {
  const outside = outsideOf(compiled);
  const instance = instantiate<Run>(compiled, outside);
  return {
    begin: (dispatch, memory) => {
      const arrays = compiled.storage.map((use) =>
        pagesOf(use, dispatch.operands.find(({ name }) => name === use.name) as PagedOperand, memory.pageSize),
      );
      return begin(instance, dispatch, arrays, new UnitPages(dispatch, memory, outside));
    },
  };
}

function begin(
  { run, setUniforms }: Instance<Run>,
  { shape, uniforms }: PagedDispatch,
  arrays: readonly Pages[],
  pages: UnitPages,
): UnitRun {
  return {
    map: (page, frame, writable) => pages.map(page, frame, writable),
    round: (units) => {
      setUniforms(uniforms);
      pages.beginRound();
      const { first, list = null } = units.list === undefined ? units : { first: 0, list: units.list };
      const pending = new Uint32Array(units.list === undefined ? units.count : units.list.length);
      const left = run(first, pending.length, shape, arrays, pages, list, pending);
      return { pending: pending.subarray(0, left), misses: pages.takeMisses(), touched: pages.takeTouched() };
    },
  };
}

function pagesOf({ length }: StorageUse, { type, total, firstPage }: PagedOperand, pageSize: number): Pages {
  const perPage = pageSize / strideOf(type);
  return {
    page: firstPage,
    length: length === null ? total : Math.min(length, total),
    shift: Math.log2(perPage),
    mask: perPage - 1,
  };
}
