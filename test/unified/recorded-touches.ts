/**
 * Which pages each invocation of a kernel uses, recorded while everything is there; and the fewest pages that have to be moved
 * for it, in the order of the invocations, by whoever knows the future (Belady): what is used again last gives way.
 */

import { strideOf } from "../../src/device/element.js";
import type { PagedOperand } from "../../src/device/driver.js";
import { createPagedKernel } from "../../src/device/wgsl/compiled/index.js";
import { compile, uniformBytes } from "../../src/device/wgsl/index.js";
import type { PagedWorkload } from "./paged-workloads.js";

export const TYPES: Readonly<Record<string, "vec2u">> = { found: "vec2u" };

export function typeOf(name: string, numbers: ArrayBufferView): "f32" | "u32" | "vec2u" {
  return TYPES[name] ?? (numbers instanceof Float32Array ? "f32" : "u32");
}

/** The pages of each invocation, numbered through all arrays. */
export function recordTouches({ wgsl, invocations, uniforms, start }: PagedWorkload, pageSize: number): number[][] {
  const arrays = start();
  const operands: PagedOperand[] = [];
  let firstPage = 0;
  for (const [name, numbers] of Object.entries(arrays)) {
    const type = typeOf(name, numbers);
    const pages = Math.ceil(numbers.byteLength / pageSize);
    operands.push({ name, type, total: numbers.byteLength / strideOf(type), pages, firstPage, written: true });
    firstPage += pages;
  }
  const bytes = new Uint8Array(firstPage * pageSize);
  for (const operand of operands) bytes.set(new Uint8Array(arrays[operand.name].buffer), operand.firstPage * pageSize);
  const given: Record<string, Uint8Array> = {};
  const compiled = compile({ text: wgsl, paged: true });
  for (const { name, type } of compiled.uniforms) given[name] = uniformBytes("recorded", name, type, uniforms[name]);
  const run = createPagedKernel(compiled).begin(
    { shape: [invocations, 1, 1], uniforms: given, bindings: {}, operands },
    { pageSize, bytes: () => bytes, hostPage: () => bytes },
  );
  for (let page = 0; page < firstPage; page++) run.map(page, page, true);
  return Array.from({ length: invocations }, (_, unit) => {
    const { touched, pending } = run.round({ first: unit, count: 1 });
    if (pending.length > 0) throw new Error(`invocation ${unit} misses a page although all are there`);
    return pagesIn(touched);
  });
}

function pagesIn(bits: Uint32Array): number[] {
  const pages: number[] = [];
  for (let page = 0; page < bits.length * 32; page++)
    if ((bits[page >>> 5] & (1 << (page & 31))) !== 0) pages.push(page);
  return pages;
}

/** How many times a page has to be brought in, if each invocation has all its pages at once, in `frames` frames. */
export function fewestMoves(touches: readonly number[][], frames: number): number {
  const uses = new Map<number, number[]>();
  touches.forEach((pages, unit) => {
    for (const page of pages) {
      const known = uses.get(page);
      if (known === undefined) uses.set(page, [unit]);
      else known.push(unit);
    }
  });
  for (const units of uses.values()) units.reverse();
  const here = new Set<number>();
  const nextUse = (page: number, unit: number): number => {
    const units = uses.get(page) ?? [];
    while (units.length > 0 && units[units.length - 1] <= unit) units.pop();
    return units[units.length - 1] ?? Infinity;
  };
  let moves = 0;
  touches.forEach((pages, unit) => {
    const missing = pages.filter((page) => !here.has(page));
    moves += missing.length;
    for (const page of missing) here.add(page);
    const now = new Set(pages);
    while (here.size > frames) {
      let last = -1;
      let lastUse = -1;
      for (const page of here) {
        const use = now.has(page) ? -1 : nextUse(page, unit);
        if (use > lastUse) [last, lastUse] = [page, use];
      }
      if (last < 0) throw new Error(`invocation ${unit} uses more than ${frames} pages`);
      here.delete(last);
    }
  });
  return moves;
}
