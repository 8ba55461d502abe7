/**
 * One random kernel, in every mode, over devices from two pages to all that it uses: the bytes that plain loops leave, and every
 * invariant holds; or, where there is not enough memory, an error that says so.
 */

import assert from "node:assert/strict";
import { strideOf, viewOf } from "../../../src/device/element.js";
import { MemoryError } from "../../../src/mm/errors.js";
import type { DispatchMode } from "../../../src/unified/kernel.js";
import type { Footprint } from "../../../src/unified/footprint.js";
import type { PagedArray } from "../../../src/unified/paged-array.js";
import { sameBytes } from "../../bytes.js";
import { PAGE } from "../../builders.js";
import { TestEnvironment } from "../../environments.js";
import { openUntended } from "../../unified/opened-memory.js";
import { type Contents, evaluate, type Evaluation, startOf } from "./evaluate.js";
import { arraysOf, invocationsOf, type KernelArray, type RandomKernel } from "./kernel.js";
import { textOf } from "./wgsl.js";

export const MODES = ["resident", "streamed", "paged"] as const satisfies readonly DispatchMode[];

/** Devices, from the smallest that there is to one for all that a kernel uses; `pages` says how many that is. */
export const BUDGETS: readonly { readonly name: string; readonly of: (pages: number) => number }[] = [
  { name: "2 pages", of: () => 2 },
  { name: "3 to 5", of: (pages) => 3 + (pages % 3) },
  { name: "half", of: (pages) => Math.ceil(pages / 2) },
  { name: "all but one", of: (pages) => pages - 1 },
  { name: "everything", of: (pages) => pages },
];

export type Outcome = "ran" | "ENOMEM";

/** How often dispatches of a kind ended how. */
export class Matrix {
  readonly #cells = new Map<string, { ran: number; refused: number }>();

  note(kernel: string, mode: DispatchMode, budget: string, outcome: Outcome): void {
    const key = [kernel, mode, budget].join("\0");
    const cell = this.#cells.get(key) ?? { ran: 0, refused: 0 };
    if (outcome === "ran") cell.ran++;
    else cell.refused++;
    this.#cells.set(key, cell);
  }

  /** Fails for an empty cell. */
  print(kernels: readonly string[], line: (text: string) => void): void {
    line(`${"ran / not enough memory".padEnd(34)} ${BUDGETS.map(({ name }) => name.padStart(11)).join(" ")}`);
    for (const kernel of kernels) {
      for (const mode of MODES) {
        const cells = BUDGETS.map(({ name }) => {
          const cell = this.#cells.get([kernel, mode, name].join("\0"));
          assert.ok(cell !== undefined, `no kernel of ${kernel} was ever run ${mode} over a device of ${name}`);
          return `${cell.ran} / ${cell.refused}`.padStart(11);
        });
        line(`${kernel.padEnd(24)} ${mode.padEnd(9)} ${cells.join(" ")}`);
      }
    }
  }
}

export interface Tried {
  readonly mode: DispatchMode;
  readonly budget: string;
  readonly outcome: Outcome;
  /** The device has less room than the kernel uses. */
  readonly small: boolean;
}

/** Every round and every copy asks what time it is: so often, without a unit that runs, only a dispatch that does not end. */
const NO_END = 2000;

class CountingEnvironment extends TestEnvironment {
  #asked = 0;

  override now(): number {
    if (++this.#asked > NO_END) throw new Error("a dispatch does not end");
    return 0;
  }

  goesOn(): void {
    this.#asked = 0;
  }
}

/** Every mode over every budget; a device of the same pages once. */
export async function tryAll(kernel: RandomKernel, modes: readonly DispatchMode[] = MODES): Promise<Tried[]> {
  const expected = evaluate(kernel, startOf(kernel), PAGE);
  const pages = pagesUsed(kernel);
  const tried: Tried[] = [];
  for (const mode of modes) {
    const outcomes = new Map<number, Outcome>();
    for (const { name, of } of BUDGETS) {
      const devicePages = Math.max(of(pages), 2);
      const outcome = outcomes.get(devicePages) ?? (await dispatch(kernel, mode, devicePages, expected));
      outcomes.set(devicePages, outcome);
      tried.push({ mode, budget: name, outcome, small: devicePages < pages });
    }
  }
  return tried;
}

/** Pages that the kernel uses, as far as anyone knows before. */
export function pagesUsed(kernel: RandomKernel): number {
  const count = invocationsOf(kernel);
  return arraysOf(kernel).reduce((pages, array) => {
    const { footprint, length, element } = array;
    const used = footprint === null ? length : Math.min(length, count * footprint.each + footprint.after);
    return pages + Math.ceil((used * strideOf(element.type)) / PAGE);
  }, 0);
}

/** Fails when a dispatch does anything but run as it should, or refuse for lack of memory where there is too little. */
async function dispatch(
  kernel: RandomKernel,
  mode: DispatchMode,
  devicePages: number,
  expected: Evaluation,
): Promise<Outcome> {
  const what = `${mode}, ${devicePages} pages`;
  const environment = new CountingEnvironment();
  const opened = await openUntended({ devicePages, environment });
  try {
    const { memory } = opened;
    const all = arraysOf(kernel);
    const arrays = Object.fromEntries(
      all.map(({ name, element, length }) => [name, memory.createArray(element.type, length, { label: name })]),
    );
    const start = startOf(kernel);
    for (const array of all) await fill(arrays[array.name], array, start);
    for (const array of Object.values(arrays)) await array.clearDirty();
    const wgsl = textOf(kernel);
    const made = await memory.createKernel({ label: "random", wgsl, footprint: footprintsOf(kernel, all, mode) });
    const uniforms = wgsl.includes("var<uniform>") ? { factor: kernel.uniform } : {};
    if (kernel.prefetched) for (const array of Object.values(arrays)) await array.prefetch("device");
    const onProgress = (): void => environment.goesOn();
    let outcome: Outcome = "ran";
    try {
      const report = await made.dispatch({ invocations: kernel.shape, arrays, uniforms, mode, onProgress });
      assert.equal(report.mode, mode, what);
      assert.match(report.why, new RegExp(`"${mode}" was asked for`), what);
      if (mode === "paged") {
        const footprint = report.footprintBytes / PAGE;
        assert.ok(footprint >= expected.pages, `${what}: ${footprint} pages, where ${expected.pages} are used`);
      }
    } catch (error) {
      if (!(error instanceof MemoryError && error.code === "ENOMEM")) throw error;
      outcome = "ENOMEM";
    }
    opened.check();
    if (outcome === "ran") {
      for (const array of all) await assertWritten(kernel, array, arrays[array.name], mode, expected, what);
      await assertEqual(kernel, arrays, expected, what);
    }
    // What suffices for one unit suffices.
    if (mode === "paged") assert.equal(outcome === "ran", devicePages >= expected.mostPages, `${what}: ${outcome}`);
    if (mode === "resident") assert.equal(outcome === "ran", devicePages >= pagesUsed(kernel), `${what}: ${outcome}`);
    if (devicePages >= pagesUsed(kernel)) assert.equal(outcome, "ran", what);
    return outcome;
  } finally {
    await opened.destroyed();
  }

  async function assertEqual(
    of: RandomKernel,
    arrays: Readonly<Record<string, PagedArray>>,
    { contents }: Evaluation,
    where: string,
  ): Promise<void> {
    for (const { name } of arraysOf(of)) {
      assert.ok(sameBytes(contents[name], opened.contents(arrays[name])), `${where}: array ${name} where it is`);
      const read = await arrays[name].read();
      assert.ok(sameBytes(contents[name], read), `${where}: array ${name} as read`);
    }
    opened.check();
  }
}

/** What is stored to counts as written; and nothing else does, where no footprint and no index tells what may be. */
async function assertWritten(
  kernel: RandomKernel,
  { name, element, footprint }: KernelArray,
  array: PagedArray,
  mode: DispatchMode,
  { written }: Evaluation,
  what: string,
): Promise<void> {
  const perPage = PAGE / strideOf(element.type);
  const dirty = new Set<number>();
  for (const { start, length } of await array.dirtyRanges())
    for (let page = start / perPage; page * perPage < start + length; page++) dirty.add(page);
  const stored = written.get(name) ?? new Set();
  for (const page of stored)
    assert.ok(dirty.has(page), `${what}: page ${page} of array ${name} does not count as written`);
  const isKnown = footprint !== null && kernel.inPlace?.conditional !== true;
  if (mode === "paged" && !kernel.declared && isKnown)
    assert.equal(dirty.size, stored.size, `${what}: so many pages of array ${name} count as written`);
}

async function fill(array: PagedArray, { name, element, length }: KernelArray, start: Contents): Promise<void> {
  await array.write(viewOf(element.type, start[name].buffer, 0, length) as never);
}

/** Page by page: of some arrays, or none. Streamed: all of what any invocation may use is there as a whole. */
function footprintsOf(
  kernel: RandomKernel,
  arrays: readonly KernelArray[],
  mode: DispatchMode,
): Record<string, Footprint> {
  if (mode === "paged" && !kernel.declared) return {};
  const known = arrays.filter(({ footprint }) => footprint !== null || mode === "streamed");
  return Object.fromEntries(known.map(({ name, footprint }) => [name, footprint ?? "whole"]));
}
