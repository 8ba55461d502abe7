/**
 * Paged dispatches without the engine: rounds over as many frames as a test says, least recently used pages evicted first, and
 * the same kernel as it was written, over whole buffers.
 */

import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { CopyList } from "../../src/device/copy-list.js";
import {
  type DispatchShape,
  PAGE_WRITE,
  type PagedDispatch,
  type PagedOperand,
  type PagedRun,
  type PagedUnits,
} from "../../src/device/driver.js";
import type { ElementType } from "../../src/device/element.js";
import type { WebgpuLimits } from "../../src/device/webgpu/limits.js";
import { describe } from "../../src/device/wgsl/describe.js";
import { openDevice, type OpenedDevice } from "./opened-device.js";

const STORAGE = 0x80;
const UNIFORM = 0x40;
const COPY_SRC = 0x4;
const COPY_DST = 0x8;

export interface PagedCase {
  readonly text: string;

  readonly constants?: Readonly<Record<string, number>>;
  /** Words of each array before the dispatch. */
  readonly arrays: Readonly<Record<string, Uint32Array<ArrayBuffer>>>;
  /** Where elements are not u32. */
  readonly types?: Readonly<Record<string, { type: ElementType; words: number }>>;
  readonly shape: DispatchShape;
  readonly uniforms?: Readonly<Record<string, Uint8Array<ArrayBuffer>>>;
}

export type Words = Readonly<Record<string, Uint32Array>>;

/** What the kernel leaves in its arrays when it runs as it was written. */
export async function runPlain(device: GPUDevice, given: PagedCase): Promise<Words> {
  const { text, arrays, shape, uniforms = {}, constants = {} } = given;
  const description = describe({ text, constants });
  const pipeline = await device.createComputePipelineAsync({
    layout: "auto",
    compute: {
      module: device.createShaderModule({ code: text }),
      entryPoint: description.entryPoint,
      constants: { ...constants },
    },
  });
  const buffers = new Map<string, GPUBuffer>();
  const groups = new Map<number, GPUBindGroupEntry[]>();
  const bound = [
    ...description.arrays.map((variable) => ({ ...variable, bytes: arrays[variable.name], usage: STORAGE })),
    ...description.uniforms.map((variable) => ({ ...variable, bytes: uniforms[variable.name], usage: UNIFORM })),
  ];
  for (const { name, node, bytes, usage } of bound) {
    const buffer = device.createBuffer({ size: bytes.byteLength, usage: usage | COPY_SRC | COPY_DST });
    device.queue.writeBuffer(buffer, 0, bytes);
    buffers.set(name, buffer);
    const attributes = text.slice(node.start, node.end);
    const number = (what: string): number => Number(new RegExp(`@${what}\\((\\d+)\\)`).exec(attributes)?.[1]);
    const entries = groups.get(number("group")) ?? [];
    groups.set(number("group"), [...entries, { binding: number("binding"), resource: { buffer } }]);
  }
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  for (const [group, entries] of groups)
    pass.setBindGroup(group, device.createBindGroup({ layout: pipeline.getBindGroupLayout(group), entries }));
  const { size } = description.workgroups;
  pass.dispatchWorkgroups(...(shape.map((count, i) => Math.ceil(count / size[i])) as [number, number, number]));
  pass.end();
  const readbacks: [string, GPUBuffer][] = description.arrays.map(({ name }) => {
    const { byteLength } = arrays[name];
    const readback = device.createBuffer({ size: byteLength, usage: 0x1 | COPY_DST });
    encoder.copyBufferToBuffer(buffers.get(name)!, 0, readback, 0, byteLength);
    return [name, readback];
  });
  device.queue.submit([encoder.finish()]);
  const results: Record<string, Uint32Array> = {};
  for (const [name, readback] of readbacks) {
    await readback.mapAsync(0x1);
    results[name] = new Uint32Array(readback.getMappedRange().slice(0));
    readback.destroy();
  }
  for (const buffer of buffers.values()) buffer.destroy();
  return results;
}

export interface PagedOutcome {
  readonly words: Words;
  readonly rounds: number;
  /** Pages that came to the device. */
  readonly loaded: number;
  /** Pages of all operands. */
  readonly pages: number;
  readonly touched: ReadonlySet<number>;
  readonly opened: OpenedDevice;
}

export interface PagedSetup {
  readonly frames?: number;
  readonly pageSize?: number;
  readonly limits?: WebgpuLimits;
  /** Units of a round at most. */
  readonly window?: number;
}

/** Pages of all arrays of a case. */
export function pagesOf({ arrays }: PagedCase, pageSize: number): number {
  return Object.values(arrays).reduce((sum, { byteLength }) => sum + Math.ceil(byteLength / pageSize), 0);
}

/** Runs a case page by page; fails the test unless each unit ran exactly once, over pages that were touched. */
export async function runPaged(t: TestContext, given: PagedCase, setup: PagedSetup = {}): Promise<PagedOutcome> {
  const { text, arrays, shape, uniforms = {}, constants = {} } = given;
  const pageSize = setup.pageSize ?? 256;
  const pages = pagesOf(given, pageSize);
  const frames = setup.frames ?? pages;
  const opened = await openDevice(t, {
    frames,
    hostFrames: pages,
    pageSize,
    ...(setup.limits && { limits: setup.limits }),
  });
  const { device, hostMemory } = opened;
  const description = describe({ text, constants });
  const operands: PagedOperand[] = [];
  let firstPage = 0;
  hostMemory.fill(0xee);
  for (const { name, written } of description.arrays) {
    const words = arrays[name];
    const { type, words: each } = given.types?.[name] ?? { type: "u32" as const, words: 1 };
    const count = Math.ceil(words.byteLength / pageSize);
    operands.push({ name, type, total: words.length / each, pages: count, firstPage, written });
    hostMemory.set(new Uint8Array(words.buffer, words.byteOffset, words.byteLength), firstPage * pageSize);
    firstPage += count;
  }
  const kernel = await device.createKernel({
    label: "paged",
    wgsl: { text, entryPoint: description.entryPoint, constants, footprint: {}, bindings: [] },
  });
  const dispatch: PagedDispatch = { shape, uniforms, bindings: {}, operands };
  const run = (await kernel.beginPaged?.(dispatch)) ?? assert.fail("the kernel cannot be paged");
  const rounds = new Rounds(run, opened, frames, pages);
  try {
    await rounds.finish(setup.window ?? Infinity);
  } finally {
    run.close();
  }
  const words: Record<string, Uint32Array> = {};
  for (const { name, firstPage: first } of operands) {
    const bytes = hostMemory.slice(first * pageSize, first * pageSize + arrays[name].byteLength);
    words[name] = new Uint32Array(bytes.buffer);
  }
  return { words, rounds: rounds.rounds, loaded: rounds.loaded, pages, touched: rounds.touched, opened };
}

class Rounds {
  rounds = 0;
  loaded = 0;
  readonly touched = new Set<number>();
  readonly #run: PagedRun;
  readonly #opened: OpenedDevice;
  readonly #frameOf: Int32Array;
  readonly #writable: Uint8Array;
  readonly #usedIn: Int32Array;
  readonly #free: number[];

  constructor(run: PagedRun, opened: OpenedDevice, frames: number, pages: number) {
    this.#run = run;
    this.#opened = opened;
    this.#frameOf = new Int32Array(pages).fill(-1);
    this.#writable = new Uint8Array(pages);
    this.#usedIn = new Int32Array(pages);
    this.#free = Array.from({ length: frames }, (_, frame) => frames - 1 - frame);
  }

  async finish(mostUnits: number): Promise<void> {
    const run = this.#run;
    let waiting = Array.from({ length: run.units }, (_, unit) => unit);
    let window = Math.min(mostUnits, run.mostUnits);
    while (waiting.length > 0) {
      const units = waiting.slice(0, window);
      const { pending, misses, touched } = await run.round(this.#named(units));
      this.rounds++;
      assert.ok(this.rounds < 100_000, "no end of rounds");
      const left = new Set(pending);
      assert.equal(left.size, pending.length, "a unit is pending twice");
      assert.deepEqual(
        [...pending],
        units.filter((unit) => left.has(unit)),
        "pending units are not in order",
      );
      assert.equal(pending.length > 0, misses.length > 0, "units are pending without a miss");
      waiting = [...pending, ...waiting.slice(window)];
      const used = this.#note(touched);
      for (const miss of misses) assert.ok(used.has(miss % PAGE_WRITE), "a page is missed and not touched");
      const needed = used.size;
      if (needed > this.#frames && units.length > 1) {
        window = Math.max(1, Math.floor(units.length / 2));
        continue;
      }
      assert.ok(needed <= this.#frames, `a unit needs ${needed} pages at once`);
      await this.#bringIn(misses);
      if (misses.length === 0) window = Math.min(window * 2, mostUnits, run.mostUnits);
    }
    await this.#evict(this.#pagesHere(), true);
  }

  get #frames(): number {
    return this.#free.length + this.#pagesHere().length;
  }

  #pagesHere(): number[] {
    return [...this.#frameOf.keys()].filter((page) => this.#frameOf[page] >= 0);
  }

  #named(units: readonly number[]): PagedUnits {
    const [first] = units;
    const isRange = units[units.length - 1] - first === units.length - 1;
    return isRange ? { first, count: units.length } : { list: Uint32Array.from(units) };
  }

  #note(touched: Uint32Array): Set<number> {
    const used = new Set<number>();
    for (let page = 0; page < this.#frameOf.length; page++) {
      if (((touched[page >>> 5] >>> (page & 31)) & 1) === 0) continue;
      used.add(page);
      this.touched.add(page);
      this.#usedIn[page] = this.rounds;
    }
    return used;
  }

  async #bringIn(misses: Uint32Array): Promise<void> {
    const absent = [...misses].map((miss) => miss % PAGE_WRITE).filter((page) => this.#frameOf[page] < 0);
    const here = this.#pagesHere().filter((page) => this.#usedIn[page] < this.rounds);
    const victims = here.toSorted((a, b) => this.#usedIn[a] - this.#usedIn[b]);
    await this.#evict(victims.slice(0, Math.max(0, absent.length - this.#free.length)), false);
    const copies = new CopyList(Math.max(1, absent.length));
    for (const page of absent) {
      const frame = this.#free.pop();
      assert.ok(frame !== undefined, "no frame is free");
      this.#frameOf[page] = frame;
      copies.push(page, frame);
      this.loaded++;
    }
    if (absent.length > 0) await this.#opened.device.upload(copies);
    for (const miss of misses) {
      const page = miss % PAGE_WRITE;
      if (miss >= PAGE_WRITE) this.#writable[page] = 1;
      this.#run.map(page, this.#frameOf[page], this.#writable[page] === 1);
    }
  }

  async #evict(pages: readonly number[], isEnd: boolean): Promise<void> {
    const dirty = pages.filter((page) => this.#writable[page] === 1);
    const copies = new CopyList(Math.max(1, dirty.length));
    for (const page of dirty) copies.push(page, this.#frameOf[page]);
    if (dirty.length > 0) await this.#opened.device.download(copies);
    for (const page of pages) {
      if (!isEnd) this.#run.map(page, -1, false);
      this.#free.push(this.#frameOf[page]);
      this.#frameOf[page] = -1;
      this.#writable[page] = 0;
    }
  }
}
