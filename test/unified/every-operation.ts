/**
 * Every asynchronous operation of arrays and kernels, as a program calls it, over two arrays of many batches of pages: x, which
 * is all 7 and stays so, partly on the device, and y. What is done to all of them is done in a loop over these.
 */

import assert from "node:assert/strict";
import type { HostKernel } from "../../src/device/driver.js";
import { loadNpy, npyStream, writeNpyHeader } from "../../src/npy/index.js";
import type { PagedArray } from "../../src/unified/paged-array.js";
import type { Pin } from "../../src/unified/pin.js";
import { PAGE } from "../builders.js";
import { type MemorySetup, type OpenedMemory, openUntended } from "./opened-memory.js";
import { sameBytes } from "../bytes.js";
import { type NodeStreams, nodeStreams } from "../node-streams.js";

/** Pages enough for several batches of copies, some on the device, most on the host. */
export const PAGES = 700;
const SEVENS = new Uint8Array(PAGES * PAGE).fill(7);

export interface Scene {
  readonly opened: OpenedMemory;
  readonly x: PagedArray<"u8">;
  readonly y: PagedArray<"u8">;
}

type Options = { signal?: AbortSignal };
type Act = (scene: Scene, options: Options) => Promise<unknown>;

/** y = x + 1, page by page. */
export const addOne: HostKernel = {
  writes: ["y"],
  run({ count, arrays }) {
    for (let i = 0; i < count * PAGE; i += PAGE) {
      (arrays["y"] as Uint8Array).fill(arrays["x"][i] + 1, i, i + PAGE);
    }
  },
};
export const eachPage = { x: { each: PAGE }, y: { each: PAGE } };

function* fifths(): Generator<Uint8Array<ArrayBuffer>> {
  for (let i = 0; i < 5; i++) yield new Uint8Array((PAGES * PAGE) / 5);
}

async function* slowFifths(): AsyncGenerator<Uint8Array> {
  for (const chunk of fifths()) {
    await Promise.resolve();
    yield chunk;
  }
}

/** The same at the start of each page, without a footprint. */
const ADD_ONE_A_PAGE = `
@group(0) @binding(0) var<storage, read> x: array<u32>;
@group(0) @binding(1) var<storage, read_write> y: array<u32>;
@compute @workgroup_size(16) fn main(@builtin(global_invocation_id) id: vec3u) {
  let at = id.x * ${PAGE / 4};
  if (at < arrayLength(&x)) { y[at] = x[at] + 1; }
}`;

async function drain(stream: ReadableStream<Uint8Array>): Promise<void> {
  const reader = stream.getReader();
  while (!(await reader.read()).done);
}

function fromNodeStream({ Readable }: NodeStreams): Act {
  return ({ y }, options) => y.write(Readable.from(fifths()), options);
}

/** Work of several batches: each goes past several places where it can be stopped. */
export const LONG_OPERATIONS: Readonly<Record<string, Act>> = {
  write: ({ y }, options) => y.write(new Uint8Array(y.length).fill(1), options),
  "write from an iterable": ({ y }, options) => y.write(slowFifths(), options),
  ...(nodeStreams === null ? {} : { "write from a Node stream": fromNodeStream(nodeStreams) }),
  "write from a blob": ({ y }, options) => y.write(new Blob([...fifths()]), options),
  read: ({ x }, options) => x.read(options),
  "read into": ({ x }, options) => x.read(new Uint8Array(x.length), options),
  "read as another type": ({ x }, options) => x.as("vec4u").read(options),
  fill: ({ y }, options) => y.fill(3, options),
  pin: ({ y }, options) => y.pin("write", options),
  "prefetch to the device": ({ y }, options) => y.prefetch("device", options),
  "prefetch to the host": ({ x }, options) => x.prefetch("host", options),
  "read of a snapshot": async ({ x }, options) => {
    using snapshot = x.snapshot();
    return await snapshot.read(options);
  },
  "a streamed dispatch": async ({ opened, x, y }, options) => {
    const kernel = await opened.memory.createKernel({ host: addOne, footprint: eachPage });
    return kernel.dispatch({ invocations: PAGES, arrays: { x, y }, ...options });
  },
  "a resident dispatch": async ({ opened, x, y }, options) => {
    const kernel = await opened.memory.createKernel({ host: addOne, footprint: eachPage });
    return kernel.dispatch({ invocations: 250, arrays: { x, y }, mode: "resident", ...options });
  },
  "a paged dispatch": async ({ opened, x, y }, options) => {
    const kernel = await opened.memory.createKernel({ wgsl: ADD_ONE_A_PAGE });
    return kernel.dispatch({ invocations: PAGES, arrays: { x: x.as("u32"), y: y.as("u32") }, ...options });
  },
  "a .npy file in": async ({ opened }, options) => {
    const file = [writeNpyHeader("u8", [PAGES * PAGE]), ...fifths()];
    const { array } = await loadNpy(opened.memory, nodeStreams?.Readable.from(file) ?? streamOf(file), options);
    array.destroy();
  },
};

/** In pieces that are the same each time, as those of a blob are not. */
function streamOf(pieces: readonly Uint8Array<ArrayBuffer>[]): ReadableStream<Uint8Array<ArrayBuffer>> {
  return new ReadableStream({
    start: (controller) => {
      for (const piece of pieces) controller.enqueue(piece);
      controller.close();
    },
  });
}

/** The others: several operations, or one of a single step behind another. */
export const OTHER_OPERATIONS: Readonly<Record<string, Act>> = {
  "a stream out": ({ x }, options) => drain(x.stream({ ...options, chunkLength: 100 * PAGE })),
  "a .npy file out": ({ x }, options) => drain(npyStream(x, options)),
  dirtyRanges: ({ x }, options) => behindAnother(x, () => x.dirtyRanges(options)),
  clearDirty: ({ x }, options) => behindAnother(x, () => x.clearDirty(options)),
};

export const EVERY_OPERATION = { ...LONG_OPERATIONS, ...OTHER_OPERATIONS };

async function behindAnother(x: PagedArray<"u8">, act: () => Promise<unknown>): Promise<unknown> {
  const before = x.read();
  try {
    return await act();
  } finally {
    await before.catch(() => {});
  }
}

/** To be destroyed by the caller. */
export async function openScene(setup: MemorySetup = {}): Promise<Scene> {
  const opened = await openUntended({ devicePages: 560, ...setup });
  const x = opened.memory.createArray("u8", PAGES * PAGE, { label: "x" });
  const y = opened.memory.createArray("u8", PAGES * PAGE, { label: "y" });
  await x.fill(7);
  await y.fill(9, { length: 450 * PAGE });
  await x.prefetch("device", { start: 100 * PAGE, length: 540 * PAGE });
  return { opened, x, y };
}

/** What is only read is untouched, invariants hold, and every kind of operation works. */
export async function goesOn({ opened, x, y }: Scene): Promise<void> {
  // What the operation left to be unmapped comes first.
  await x.read({ length: 1 });
  assert.ok(sameBytes(SEVENS, opened.contents(x)), "what is only read is untouched");
  for (const array of [x, y]) assert.equal(array.pins.size, 0);
  opened.check();
  await y.fill(2, { length: 10 });
  const kernel = await opened.memory.createKernel({ host: addOne, footprint: eachPage });
  await kernel.dispatch({ invocations: 20, arrays: { x, y } });
  assert.deepEqual(await y.read({ length: 20 * PAGE }), new Uint8Array(20 * PAGE).fill(8));
  opened.check();
}

/** Lets go what an operation gave, if that is to be let go. */
export function letGo(value: unknown): void {
  if (typeof value === "object" && value !== null && "release" in value) (value as Pin).release();
}
