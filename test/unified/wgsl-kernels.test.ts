// Kernels in WGSL over arrays larger than the device: the same results as functions give, on every kind of software device.

import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import type { HostKernel } from "../../src/device/driver.js";
import { KernelError } from "../../src/device/kernel-error.js";
import { struct } from "../../src/struct/index.js";
import { DispatchError } from "../../src/unified/dispatch-error.js";
import type { Footprint } from "../../src/unified/footprint.js";
import type { PagedArray } from "../../src/unified/paged-array.js";
import { memoryError } from "../builders.js";
import { type OpenedMemory, openMemory } from "./opened-memory.js";

const f = Math.fround;
const ROWS = 5000;
const WIDTH = 10;

const MACHINES = [
  { kind: "private", shared: false },
  { kind: "coherent", shared: false },
  { kind: "private", shared: true },
  { kind: "coherent", shared: true },
] as const;

interface Program {
  readonly name: string;
  readonly wgsl: string;
  readonly host: HostKernel;
  readonly footprint: Record<string, Footprint>;
  readonly invocations: number;
  /** Lengths of its arrays of f32. */
  readonly arrays: Record<string, number>;
  readonly uniforms: Record<string, unknown>;
}

const SCORES: Program = {
  name: "scores",
  wgsl: `
    @group(0) @binding(0) var<storage, read> vectors: array<f32>;
    @group(0) @binding(1) var<storage, read_write> scores: array<f32>;
    @group(0) @binding(2) var<uniform> query: array<vec4f, 3>;
    override width: u32;
    fn product(row: u32) -> f32 {
      var sum = 0.0;
      for (var k = 0u; k < width; k++) { sum += vectors[row * width + k] * query[k / 4][k % 4]; }
      return sum;
    }
    @compute @workgroup_size(64)
    fn main(@builtin(global_invocation_id) id: vec3u) {
      if (id.x >= arrayLength(&scores)) { return; }
      scores[id.x] = product(id.x);
    }`,
  host: {
    writes: ["scores"],
    run({ first, count, arrays, base, uniforms }) {
      const { vectors, scores } = arrays;
      const query = uniforms["query"] as Float32Array;
      for (let i = first; i < first + count; i++) {
        let sum = 0;
        for (let k = 0; k < WIDTH; k++) sum = f(sum + f(vectors[i * WIDTH + k - base["vectors"]] * (query[k] ?? 0)));
        scores[i - base["scores"]] = sum;
      }
    },
  },
  footprint: { vectors: { each: WIDTH }, scores: { each: 1 } },
  invocations: ROWS,
  arrays: { vectors: ROWS * WIDTH, scores: ROWS },
  uniforms: { query: Float32Array.from({ length: 12 }, (_, i) => i / 7) },
};

/** Halos at both ends, where there is nothing, and in place. */
const SMOOTH: Program = {
  name: "smooth",
  wgsl: `
    @group(0) @binding(0) var<storage, read> x: array<f32>;
    @group(0) @binding(1) var<storage, read_write> y: array<f32>;
    @group(0) @binding(2) var<uniform> factor: f32;
    @compute @workgroup_size(64)
    fn main(@builtin(global_invocation_id) id: vec3u) {
      let i = i32(id.x);
      y[i] += (x[max(i - 1, 0)] + x[i] + x[id.x + 1]) * factor;
    }`,
  host: {
    writes: ["y"],
    run({ first, count, arrays, base, uniforms }) {
      const { x, y } = arrays;
      const at = (i: number): number => x[Math.min(Math.max(i, 0), ROWS - 1) - base["x"]];
      for (let i = first; i < first + count; i++) {
        const sum = f(f(f(at(i - 1) + at(i)) + at(i + 1)) * uniforms["factor"]);
        y[i - base["y"]] = y[i - base["y"]] + sum;
      }
    },
  },
  footprint: { x: { each: 1, before: 1, after: 1 }, y: { each: 1 } },
  invocations: ROWS,
  arrays: { x: ROWS, y: ROWS },
  uniforms: { factor: 0.25 },
};

/** A gather from an array that is small enough to be there as a whole. */
const GATHER: Program = {
  name: "gather",
  wgsl: `
    @group(0) @binding(0) var<storage, read> index: array<f32>;
    @group(0) @binding(1) var<storage, read> table: array<f32>;
    @group(0) @binding(2) var<storage, read_write> found: array<f32>;
    @compute @workgroup_size(64)
    fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
      found[id.x] = table[u32(index[id.x]) % arrayLength(&table)] + f32(groups.x);
    }`,
  host: {
    writes: ["found"],
    run({ first, count, arrays, base }) {
      const { index, table, found } = arrays;
      for (let i = first; i < first + count; i++) {
        found[i - base["found"]] = f(table[Math.trunc(index[i - base["index"]]) % 1000] + Math.ceil(ROWS / 64));
      }
    },
  },
  footprint: { index: { each: 1 }, table: "whole", found: { each: 1 } },
  invocations: ROWS,
  arrays: { index: ROWS, table: 1000, found: ROWS },
  uniforms: {},
};

const PROGRAMS = [SCORES, SMOOTH, GATHER];

async function filledArrays({ memory }: OpenedMemory, lengths: Record<string, number>) {
  const arrays: Record<string, PagedArray<"f32">> = {};
  for (const [name, length] of Object.entries(lengths)) {
    const array = memory.createArray("f32", length, { label: name });
    await array.write(Float32Array.from({ length }, (_, i) => ((i * 7919) % 1013) / 8));
    arrays[name] = array;
  }
  return arrays;
}

async function resultsOf(t: TestContext, program: Program, code: "host" | "wgsl", setup: (typeof MACHINES)[number]) {
  const opened = await openMemory(t, { ...setup, devicePages: 6 });
  const { footprint, invocations, uniforms, wgsl, host } = program;
  const arrays = await filledArrays(opened, program.arrays);
  const constants = program === SCORES ? { width: WIDTH } : {};
  const kernel = await opened.memory.createKernel(
    code === "host" ? { host, footprint } : { wgsl, constants, footprint, label: program.name },
  );
  const report = await kernel.dispatch({ invocations, arrays, uniforms });
  assert.equal(report.mode, "streamed");
  assert.ok(report.steps > 1);
  opened.check();
  const results: Record<string, number[]> = {};
  for (const [name, array] of Object.entries(arrays)) results[name] = Array.from(await array.read());
  return results;
}

test("a kernel in WGSL over arrays larger than the device computes what the function computes", async (t) => {
  for (const program of PROGRAMS) {
    for (const machine of MACHINES) {
      const expected = await resultsOf(t, program, "host", { ...machine, shared: false });
      const found = await resultsOf(t, program, "wgsl", machine);
      assert.deepEqual(found, expected, `${program.name}, ${machine.kind}, ${machine.shared ? "shared" : "unshared"}`);
    }
  }
});

test("structures and vectors are elements, by their layout", async (t) => {
  const { memory } = await openMemory(t, { devicePages: 4 });
  const Body = struct({ at: "vec3f", mass: "f32", speed: "vec2f", charge: "i32", kind: "u32" });
  const bodies = memory.createArray(Body, 500);
  const moved = memory.createArray("vec4f", 500);
  await bodies.write(new Uint8Array(500 * 32).map((_, i) => (i % 4 === 0 ? i / 32 : 0)));
  const kernel = await memory.createKernel({
    wgsl: `
      struct Body { at: vec3f, mass: f32, velocity: vec2f, charge: i32, kind: u32 }
      @group(0) @binding(0) var<storage, read_write> bodies: array<Body>;
      @group(0) @binding(1) var<storage, read_write> moved: array<vec4f>;
      @compute @workgroup_size(1) fn main(@builtin(global_invocation_id) id: vec3u) {
        let b = &bodies[id.x]; (*b).at = vec3f(1, 2, 3) * f32(id.x); (*b).kind = id.x * 3; (*b).charge -= 5;
        moved[id.x] = vec4f((*b).at, f32((*b).kind));
      }`,
    footprint: { bodies: { each: 1 }, moved: { each: 1 } },
  });
  const charge = new DataView((await bodies.read({ start: 77, length: 1 })).buffer).getInt32(24, true);
  await kernel.dispatch({ invocations: 500, arrays: { bodies, moved } });
  const body = await bodies.read({ start: 77, length: 1 });
  const view = new DataView(body.buffer, body.byteOffset);
  assert.deepEqual(
    [view.getFloat32(4, true), view.getInt32(24, true), view.getUint32(28, true)],
    [154, charge - 5, 231],
  );
  assert.deepEqual([...(await moved.read({ start: 77, length: 1 }))], [77, 154, 231, 231]);
  const wrong = memory.createArray("f32", 500);
  await assert.rejects(
    kernel.dispatch({ invocations: 500, arrays: { bodies: wrong, moved } }),
    memoryError("EINVAL", /of f32 is given as "bodies" to kernel "kernel", which has it of struct \{ at: vec3f, mass/),
  );
});

/** Uses an element that depends on `at`. */
const REACHING = `
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> at: u32;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x == at) {
    y[id.x] = 1 + x[
      id.x + 2];
  }
}`;

test("an access outside of the footprint is an error that names array, index and place, in whatever step it falls", async (t) => {
  for (const setup of [...MACHINES, { devicePages: 64 }]) {
    const opened = await openMemory(t, { devicePages: 6, ...setup });
    const { x, y } = await filledArrays(opened, { x: ROWS, y: ROWS });
    assert.ok(x !== undefined && y !== undefined);
    const before = await x.read();
    const footprint = { x: { each: 1, after: 1 }, y: { each: 1 } };
    const kernel = await opened.memory.createKernel({ label: "reach", wgsl: REACHING, footprint });
    for (const at of [0, 1022, 1023, 1024, 3000]) {
      const dispatch = kernel.dispatch({ invocations: ROWS, arrays: { x, y }, uniforms: { at } });
      await assert.rejects(dispatch, (error) => {
        assert.ok(error instanceof DispatchError);
        memoryError("EFAULT", new RegExp(`kernel "reach" stopped after \\d+ of ${ROWS} invocations`))(error);
        const { cause } = error;
        assert.ok(cause instanceof KernelError, String(cause));
        assert.match(cause.reason, new RegExp(`element ${at + 2} of array "x" .* elements ${at} to ${at + 2} for`));
        assert.deepEqual([cause.line, cause.column, cause.code], [8, 19, "EFAULT"]);
        assert.ok(error.completed <= at);
        return true;
      });
    }
    // Past the end of the array is its last element, which this invocation may use.
    await kernel.dispatch({ invocations: ROWS, arrays: { x, y }, uniforms: { at: ROWS - 1 } });
    assert.deepEqual(await x.read(), before);
    assert.equal((await y.read({ start: ROWS - 1 }))[0], 1 + (before[ROWS - 1] ?? 0));
    opened.check();
  }
});

const COPY = `
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> scale: vec2f;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) { y[id.x] = x[id.x] * scale.y; }`;
const COPIED = { x: { each: 1 }, y: { each: 1 } } satisfies Record<string, Footprint>;

test("a kernel that the software device cannot compile runs there as the function that is given beside it", async (t) => {
  const { memory } = await openMemory(t);
  const wgsl = `
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
var<workgroup> turned: array<f32, 64>;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(local_invocation_index) at: u32) {
  turned[at] = x[id.x];
  workgroupBarrier();
  y[id.x] = turned[63 - at];
}`;
  const host: HostKernel = {
    writes: ["y"],
    run({ count, arrays }) {
      const [from, to] = [arrays["x"] as Float32Array, arrays["y"] as Float32Array];
      for (let i = 0; i < count; i++) to[i] = from[(i & ~63) + 63 - (i & 63)] ?? 0;
    },
  };
  await assert.rejects(memory.createKernel({ wgsl, footprint: COPIED }), /workgroup/i);
  const kernel = await memory.createKernel({ wgsl, host, footprint: { x: "whole", y: "whole" } });
  const [x, y] = [memory.createArray("f32", 128), memory.createArray("f32", 128)];
  await x.write(Float32Array.from({ length: 128 }, (_, i) => i));
  await kernel.dispatch({ invocations: 128, arrays: { x, y } });
  assert.deepEqual([...(await y.read())].slice(62, 66), [1, 0, 127, 126]);
});

test("kernels that cannot be made are refused with what is missing, and a text that is wrong with its place", async (t) => {
  const { memory } = await openMemory(t);
  const refused = async (descriptor: object, message: RegExp): Promise<void> => {
    const asked = descriptor as Parameters<typeof memory.createKernel>[0];
    await assert.rejects(memory.createKernel(asked), memoryError("EINVAL", message));
  };
  const host = { writes: [], run() {} };
  await refused({ host }, /needs a footprint for each of its arrays/);
  await refused({ wgsl: COPY, footprint: { ...COPIED, scale: "whole" } }, /has no storage "scale" that main uses/);
  await refused({ wgsl: COPY, host, footprint: COPIED }, /writes "y" in wgsl, not in host/);
  await refused({ wgsl: COPY, host: { ...host, writes: ["x", "y"] }, footprint: COPIED }, /"x" in host, not in wgsl/);
  await refused({ wgsl: 7, footprint: COPIED }, /wgsl as a string/);
  await refused({ host, entryPoint: "main", footprint: COPIED }, /for wgsl/);
  await refused({ host, bindings: ["x"], footprint: COPIED }, /for wgsl/);
  await refused({ wgsl: COPY, bindings: ["z"], footprint: COPIED }, /binding "z" is no storage or uniform variable/);
  await refused({ wgsl: COPY, bindings: "x", footprint: COPIED }, /names of variables, in an array/);
  const few = COPY.replace("array<f32>", "array<f32, 4>");
  await refused({ wgsl: few, footprint: COPIED }, /array "x" of kernel "kernel" has a fixed length/);
  const { y } = COPIED;
  await assert.rejects(
    memory.createKernel({ wgsl: COPY, bindings: ["x"], footprint: { y } }),
    memoryError("ENOTSUP", /no buffers of the caller's, as binding "x" would be/),
  );
  await refused({ wgsl: COPY, entryPoint: "start", footprint: COPIED }, /no compute entry point "start"/);
  await refused({ wgsl: COPY, constants: { k: 1 }, footprint: COPIED }, /constant "k" belongs to no override/);
  await assert.rejects(memory.createKernel({ wgsl: `${COPY}\n  fn`, footprint: COPIED }), (error) => {
    assert.ok(error instanceof KernelError);
    assert.equal(error.line, 7);
    return true;
  });
});

test("uniforms and arrays that do not suit a kernel are refused, and nothing has run", async (t) => {
  const { memory } = await openMemory(t);
  const x = memory.createArray("f32", 100, { label: "X" });
  const y = memory.createArray("f32", 100, { label: "Y" });
  const integers = memory.createArray("i32", 100, { label: "N" });
  const kernel = await memory.createKernel({ wgsl: COPY, footprint: COPIED });
  const refused = async (
    message: RegExp,
    uniforms: object,
    arrays: Record<string, PagedArray> = { x, y },
  ): Promise<void> => {
    const dispatch = kernel.dispatch({ invocations: 100, arrays, uniforms: uniforms as Record<string, unknown> });
    await assert.rejects(dispatch, memoryError("EINVAL", message));
  };
  const scale = Float32Array.of(0, 2);
  await refused(/uniform "scale" of kernel "kernel" is vec2<f32>, given as nothing/, {});
  await refused(/not a number: give its 8 bytes/, { scale: 1 });
  await refused(/of 8 bytes, not 12/, { scale: new Float32Array(3) });
  await refused(/given as Int32Array/, { scale: new Int32Array(2) });
  await refused(/given as string/, { scale: "1" });
  await refused(/has no uniform "factor"/, { scale, factor: 1 });
  await refused(
    /array "N" of i32 is given as "x" to kernel "kernel", which has it of f32/,
    { scale },
    { x: integers, y },
  );
  await x.fill(3);
  const pending = kernel.dispatch({ invocations: 100, arrays: { x, y }, uniforms: { scale } });
  scale[1] = 100;
  await pending;
  assert.ok(
    (await y.read()).every((value) => value === 6),
    "uniforms are taken when dispatch is called",
  );
  await kernel.dispatch({ invocations: 100, arrays: { x, y }, uniforms: { scale: Float32Array.of(0, 5).buffer } });
  assert.equal((await y.read())[99], 15);
});

test("a kernel that is there in WGSL and as a function runs as the function on the software device, with its uniforms as given", async (t) => {
  const { memory } = await openMemory(t);
  const x = memory.createArray("f32", 100);
  const y = memory.createArray("f32", 100);
  const given = Float32Array.of(0, 2);
  const host: HostKernel = {
    writes: ["y"],
    run({ arrays, first, count, base, uniforms }) {
      const scale = uniforms["scale"] as Float32Array;
      for (let i = first; i < first + count; i++) arrays["y"][i - base["y"]] = scale[1] + 1000;
    },
  };
  const kernel = await memory.createKernel({ wgsl: COPY, host, footprint: COPIED });
  const dispatched = kernel.dispatch({ invocations: 100, arrays: { x, y }, uniforms: { scale: given } });
  given[1] = 9;
  await dispatched;
  assert.ok((await y.read()).every((value) => value === 1002));
  const wrong = kernel.dispatch({ invocations: 100, arrays: { x, y }, uniforms: { scale: 3 } });
  await assert.rejects(wrong, memoryError("EINVAL", /give its 8 bytes/));
});

test("a dispatch of two dimensions is one row of invocations after another", async (t) => {
  const { memory } = await openMemory(t);
  const y = memory.createArray("u32", 12 * 9);
  const wgsl = `@group(0) @binding(0) var<storage, read_write> y: array<u32>;
    @compute @workgroup_size(4, 3) fn main(@builtin(global_invocation_id) id: vec3u) { y[id.x + 12 * id.y] = id.x + 100 * id.y; }`;
  const kernel = await memory.createKernel({ wgsl, footprint: { y: { each: 1 } } });
  const { invocations } = await kernel.dispatch({ invocations: [12, 9, 1], arrays: { y } });
  assert.equal(invocations, 108);
  assert.deepEqual(
    [...(await y.read())],
    Array.from({ length: 108 }, (_, i) => (i % 12) + 100 * Math.floor(i / 12)),
  );
  await assert.rejects(
    kernel.dispatch({ invocations: [12, 9] as unknown as number, arrays: { y } }),
    memoryError("EINVAL", /2 dimensions/),
  );
  await assert.rejects(
    kernel.dispatch({ invocations: [12, -1, 1], arrays: { y } }),
    memoryError("EINVAL", /-1 invocations/),
  );
});
