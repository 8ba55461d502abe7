/**
 * A random program of one thread over arrays of its own in a memory that others use at the same time: whatever they do, its
 * arrays hold what plain typed arrays would. The seed decides what it does; when it meets the others, nobody.
 */

import assert from "node:assert/strict";
import type { PagedArray } from "../../../src/unified/paged-array.js";
import type { Kernel } from "../../../src/unified/kernel.js";
import type { UnifiedMemory } from "../../../src/unified/unified-memory.js";
import { PAGE } from "../../builders.js";
import { seededRandom } from "../../environments.js";

const ON_A_PAGE = PAGE / 4;
const MOST_PAGES = 6;
const ARRAYS = 3;

type Memory = UnifiedMemory<SharedArrayBuffer>;

/** Without a footprint. */
const FOLLOW = `
@group(0) @binding(0) var<storage, read_write> x: array<u32>;
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
  x[id.x] += x[id.x] * 31 % 7;
}`;

interface Shadowed {
  array: PagedArray<"u32", SharedArrayBuffer>;
  shadow: Uint32Array<ArrayBuffer>;
  /** A snapshot, and what it has to show. */
  snapshot: { array: PagedArray<"u32", SharedArrayBuffer>; shadow: Uint32Array } | null;
}

/** What a program did, by operation. */
export type Tally = Record<string, number>;

/** Runs `steps` operations; throws, with the seed, at the first byte that is wrong. */
export async function runRandomThread(memory: Memory, seed: number, steps: number, kernels: string): Promise<Tally> {
  const program = new RandomThread(memory, seed);
  const kernel = await memory.createKernel({
    host: { module: kernels, export: "addOne" },
    footprint: { x: { each: 1 } },
  });
  try {
    const paged = await memory.createKernel({ wgsl: FOLLOW });
    for (let step = 0; step < steps; step++) await program.step(kernel, paged);
    await program.end();
  } catch (cause) {
    throw new Error(`a thread with seed ${seed}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
  return program.tally;
}

class RandomThread {
  readonly tally: Tally = {};
  readonly #memory: Memory;
  readonly #random: () => number;
  readonly #arrays: Shadowed[];

  constructor(memory: Memory, seed: number) {
    this.#memory = memory;
    this.#random = seededRandom(seed);
    this.#arrays = Array.from({ length: ARRAYS }, () => this.#create());
  }

  async step(kernel: Kernel, paged: Kernel): Promise<void> {
    const index = this.#below(ARRAYS);
    const which = this.#arrays[index];
    const operations = [
      "write",
      "fill",
      "read",
      "store",
      "look",
      "move",
      "dispatch",
      "page",
      "snapshot",
      "break",
      "renew",
    ] as const;
    const operation = operations[this.#below(operations.length)];
    this.tally[operation] = (this.tally[operation] ?? 0) + 1;
    switch (operation) {
      case "write":
        return this.#write(which);
      case "fill": {
        const range = this.#range(which);
        const value = this.#below(1000);
        which.shadow.fill(value, range.start, range.start + range.length);
        return which.array.fill(value, range);
      }
      case "read": {
        const range = this.#range(which);
        return this.#same(await which.array.read(range), which.shadow, range.start);
      }
      case "store":
        return this.#store(which);
      case "look":
        return this.#look(which);
      case "move":
        return which.array.prefetch(this.#below(2) === 0 ? "device" : "host", this.#range(which));
      case "dispatch": {
        const invocations = 1 + this.#below(which.array.length);
        await kernel.dispatch({ invocations, arrays: { x: which.array } });
        for (let i = 0; i < invocations; i++) which.shadow[i]++;
        return;
      }
      case "page": {
        const invocations = 1 + this.#below(which.array.length);
        await paged.dispatch({ invocations, arrays: { x: which.array }, mode: "paged" });
        const { shadow } = which;
        for (let i = 0; i < invocations; i++) shadow[i] += (Math.imul(shadow[i], 31) >>> 0) % 7;
        return;
      }
      case "snapshot":
        await this.#lookAtSnapshot(which);
        which.snapshot = { array: which.array.snapshot(), shadow: which.shadow.slice() };
        return;
      case "break":
        return this.#breakStream(which);
      case "renew":
        await this.#lookAtSnapshot(which);
        which.array.destroy();
        this.#arrays[index] = this.#create();
        return;
      default:
        return operation satisfies never;
    }
  }

  async end(): Promise<void> {
    for (const which of this.#arrays) {
      this.#same(await which.array.read(), which.shadow, 0);
      await this.#lookAtSnapshot(which);
      which.array.destroy();
    }
  }

  /** Two writes and a read that are called at once take effect in that order. */
  async #write({ array, shadow }: Shadowed): Promise<void> {
    const first = this.#range({ array });
    const second = this.#range({ array });
    const values = [first, second].map(({ length }) => Uint32Array.from({ length }, () => this.#below(2 ** 32)));
    shadow.set(values[0], first.start);
    shadow.set(values[1], second.start);
    const [, , read] = await Promise.all([
      array.write(values[0], { start: first.start }),
      array.write(values[1], { start: second.start }),
      array.read(second),
    ]);
    this.#same(read, shadow, second.start);
  }

  async #store({ array, shadow }: Shadowed): Promise<void> {
    const range = this.#range({ array });
    using pin = await array.pin("write", range);
    for (const { start, view } of pin.runs) {
      for (let i = 0; i < view.length; i++) shadow[start + i] = view[i] = this.#below(2 ** 32);
    }
  }

  async #look({ array, shadow }: Shadowed): Promise<void> {
    const range = this.#range({ array });
    using pin = array.tryPin("read", range) ?? (await array.pin("read", range));
    for (const { start, view } of pin.runs) this.#same(view, shadow, start);
  }

  /** A source that fails in the middle leaves whole elements from the first on, and nothing after them. */
  async #breakStream({ array, shadow }: Shadowed): Promise<void> {
    const range = this.#range({ array });
    const values = Uint32Array.from({ length: range.length }, () => this.#below(2 ** 32));
    const bytes = new Uint8Array(values.buffer);
    const given = this.#below(bytes.length + 1);
    const broken = new Error("the source broke");
    const source = async function* (random: () => number): AsyncGenerator<Uint8Array> {
      for (let at = 0; at < given;) {
        const end = Math.min(given, at + 1 + Math.floor(random() * 5000));
        yield bytes.slice(at, end);
        at = end;
      }
      throw broken;
    };
    await assert.rejects(array.write(source(this.#random), { start: range.start }), broken);
    const whole = Math.floor(given / 4);
    shadow.set(values.subarray(0, whole), range.start);
    this.#same(await array.read(range), shadow, range.start);
  }

  async #lookAtSnapshot(which: Shadowed): Promise<void> {
    if (which.snapshot === null) return;
    const { array, shadow } = which.snapshot;
    this.#same(await array.read(), shadow, 0);
    array.destroy();
    which.snapshot = null;
  }

  #create(): Shadowed {
    const array = this.#memory.createArray("u32", 1 + this.#below(MOST_PAGES * ON_A_PAGE));
    return { array, shadow: new Uint32Array(array.length), snapshot: null };
  }

  #range({ array }: Pick<Shadowed, "array">): { start: number; length: number } {
    const start = this.#below(array.length);
    return { start, length: 1 + this.#below(array.length - start) };
  }

  #same(found: Uint32Array<ArrayBufferLike>, shadow: Uint32Array, start: number): void {
    assert.deepEqual(found.slice(), shadow.slice(start, start + found.length));
  }

  #below(bound: number): number {
    return Math.floor(this.#random() * bound);
  }
}
