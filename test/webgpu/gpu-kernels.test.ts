// Kernels on a GPU beside what all devices have in common: what is refused and where, indices out of bounds, arrays given twice,
// the caller's own buffers, textures and samplers, dispatches of many workgroups.

import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { KernelError } from "../../src/device/kernel-error.js";
import { webgpuDevice, type WebgpuLimits } from "../../src/device/webgpu/index.js";
import { createUnifiedMemory } from "../../src/index.js";
import { memoryError, PAGE } from "../builders.js";
import { openMemory, type OpenedMemory } from "../unified/opened-memory.js";
import { skip } from "./gpu.js";
import { assertNothingUncaught, sharedDevice } from "./opened-device.js";
import { ShadowedDriver } from "./shadowed-driver.js";

async function open(t: TestContext, pages = 16, limits: WebgpuLimits = {}): Promise<OpenedMemory> {
  return openMemory(t, { driver: await ShadowedDriver.create(pages * PAGE, limits) });
}

const counting = (length: number, step = 1): Uint32Array => Uint32Array.from({ length }, (_, i) => i * step);

const REFUSED: readonly [what: string, wgsl: string, line: number, column: number, reason: RegExp][] = [
  [
    "what is no WGSL",
    "@group(0) @binding(0) var<storage, read_write> x: array<u32>;\n@compute @workgroup_size(1) fn main() { x[0] = ; }",
    2,
    48,
    /./,
  ],
  [
    "a type that does not fit",
    "@group(0) @binding(0) var<storage, read_write> x: array<u32>;\n\n@compute @workgroup_size(1) fn main() {\n  x[0] = 1.5f;\n}",
    4,
    8,
    /f32/,
  ],
  [
    "more invocations in a workgroup than the device has",
    "@group(0) @binding(0) var<storage, read_write> x: array<u32>;\n @compute @workgroup_size(256, 256)\n fn main() { x[0] = 1; }",
    2,
    2,
    /the GPU refuses the kernel: .*/,
  ],
];

for (const [what, wgsl, line, column, reason] of REFUSED) {
  test(`${what} is refused when the kernel is made, with line and column of its own text`, { skip }, async (t) => {
    const { memory } = await open(t);
    await assert.rejects(memory.createKernel({ wgsl, footprint: { x: "whole" } }), (error) => {
      assert.ok(error instanceof KernelError, String(error));
      assert.deepEqual([error.line, error.column], [line, column], error.message);
      assert.match(error.reason, reason);
      return true;
    });
  });
}

test(
  "a barrier whose reach the compiler cannot tell over pages is refused when the kernel is made, unless footprints say all",
  { skip },
  async (t) => {
    const { memory } = await open(t);
    const wgsl = `
    @group(0) @binding(0) var<storage, read> x: array<u32>;
    @group(0) @binding(1) var<storage, read_write> y: array<u32>;
    var<workgroup> sums: array<u32, 64>;
@compute @workgroup_size(64)
    fn main(@builtin(global_invocation_id) id: vec3u, @builtin(local_invocation_index) lane: u32) {
      let count = x[0];
      for (var i = 0u; i < count; i++) {
        sums[lane] += i;
        workgroupBarrier();
      }
      y[id.x] = sums[lane];
    }`;
    await assert.rejects(memory.createKernel({ wgsl, footprint: { y: { each: 1 } } }), (error) => {
      assert.ok(error instanceof KernelError, String(error));
      assert.deepEqual([error.line, error.column], [5, 1], error.message);
      assert.match(error.reason, /where it is paged: .*workgroupBarrier.* uniform/s);
      return true;
    });
    // With footprints that say all it need not be: what decides is bound apart from what is written.
    const kernel = await memory.createKernel({ wgsl, footprint: { x: "whole", y: { each: 1 } } });
    const x = memory.createArray("u32", 4);
    await x.fill(5);
    for (const [mode, length] of [
      ["resident", PAGE],
      ["streamed", 32 * PAGE],
    ] as const) {
      const y = memory.createArray("u32", length);
      await kernel.dispatch({ invocations: length, arrays: { x, y }, mode });
      assert.deepEqual(await y.read(), new Uint32Array(length).fill(10), mode);
      y.destroy();
    }
  },
);

const FOUR_NAMES = ["a", "b", "c", "d"];
const FOUR_ARRAYS = [
  ...FOUR_NAMES.map((name, i) => `@group(0) @binding(${i}) var<storage, read_write> ${name}: array<u32>;`),
  "@compute @workgroup_size(8) fn main(@builtin(global_invocation_id) id: vec3u) {",
  "  d[id.x] = a[id.x] + 10u * b[id.x] + 100u * c[id.x];",
  "}",
].join("\n");

test(
  "a kernel with more arrays than the device can bind runs paged, with and without footprints",
  { skip },
  async (t) => {
    const { memory } = await open(t, 6, { maxStorageBuffersPerShaderStage: 3 });
    const length = (2 * PAGE) / 4;
    for (const footprint of [{}, Object.fromEntries(FOUR_NAMES.map((name) => [name, { each: 1 }]))]) {
      const kernel = await memory.createKernel({ wgsl: FOUR_ARRAYS, footprint });
      const arrays = Object.fromEntries(
        FOUR_NAMES.map((label) => [label, memory.createArray("u32", length, { label })]),
      );
      for (const [n, name] of FOUR_NAMES.entries()) await arrays[name]?.write(new Uint32Array(length).fill(n + 1));
      const { mode, why } = await kernel.dispatch({ invocations: length, arrays });
      assert.equal(mode, "paged");
      assert.match(why, /"d" is one of 4 arrays and buffers, more than the 3 .*maxStorageBuffersPerShaderStage/);
      assert.deepEqual(await arrays.d?.read(), new Uint32Array(length).fill(321));
      for (const mode of ["resident", "streamed"] as const) {
        await assert.rejects(
          kernel.dispatch({ invocations: length, arrays, mode }),
          memoryError("ENOTSUP", new RegExp(`runs in mode "paged" alone, not "${mode}": "d" is one of 4 arrays`)),
        );
      }
      for (const array of Object.values(arrays)) array.destroy();
    }
  },
);

test(
  "more arrays than the device can bind are refused where there are too many for paging too, with the limit",
  { skip },
  async (t) => {
    const { memory } = await open(t, 16, { maxStorageBuffersPerShaderStage: 2 });
    const wgsl = FOUR_ARRAYS;
    const footprint = Object.fromEntries(FOUR_NAMES.map((name) => [name, "whole" as const]));
    await assert.rejects(
      memory.createKernel({ wgsl, footprint }),
      (error) =>
        error instanceof KernelError &&
        error.line === 3 &&
        /"c" is one of 4 arrays and buffers, more than the 2 .*; the kernel cannot be paged on this device: .* 3, more than the 2/.test(
          error.reason,
        ),
    );
  },
);

test("a kernel that is a function is refused by the GPU", { skip }, async (t) => {
  const { device } = await (await import("./opened-device.js")).openDevice(t);
  await assert.rejects(
    device.createKernel({ label: "mine", host: { writes: [], run() {} } }),
    memoryError("EINVAL", /kernel "mine" is a function: .* runs kernels in WGSL/),
  );
});

test("an index out of bounds never reaches another array", { skip }, async (t) => {
  for (const mode of ["resident", "streamed"] as const) {
    const { memory } = await open(t, 12);
    const length = 4 * 1024 + 5;
    const x = memory.createArray("u32", length);
    const others = Array.from({ length: 2 }, () => memory.createArray("u32", 1024));
    for (const other of others) await other.write(counting(1024, 3));
    await x.write(counting(length));
    for (const other of others) await other.prefetch("device");
    const kernel = await memory.createKernel({
      wgsl: `
        @group(0) @binding(0) var<storage, read_write> x: array<u32>;
        @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
          let i = i32(id.x);
          x[id.x + arrayLength(&x)] = 7u;
          x[i - ${length}] = 8u;
          x[4294967295u - id.x] = 9u;
          x[id.x * 1000003u + 100000u] += 10u;
        }`,
      footprint: { x: { each: 1 } },
    });
    const report = await kernel.dispatch({ invocations: length, arrays: { x }, mode });
    assert.equal(report.mode, mode);
    for (const other of others) assert.deepEqual(await other.read(), counting(1024, 3));
  }
});

test(
  "an array that is read under two names, beside one that is written, is the same under both",
  { skip },
  async (t) => {
    for (const [pages, mode] of [
      [16, "resident"],
      [6, "streamed"],
    ] as const) {
      const opened = await open(t, pages);
      const { memory } = opened;
      const length = 4 * 1024;
      const x = memory.createArray("u32", length);
      const y = memory.createArray("u32", length);
      await x.write(counting(length));
      const kernel = await memory.createKernel({
        wgsl: `
        @group(0) @binding(0) var<storage, read> a: array<u32>;
        @group(0) @binding(1) var<storage, read> b: array<u32>;
        @group(0) @binding(2) var<storage, read_write> y: array<u32>;
        @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
          let i = id.x;
          y[i] = a[i] + 2u * b[min(i + 1u, arrayLength(&b) - 1u)];
        }`,
        footprint: { a: { each: 1 }, b: { each: 1, after: 1 }, y: { each: 1 } },
      });
      const report = await kernel.dispatch({ invocations: length, arrays: { a: x, b: x, y } });
      assert.equal(report.mode, mode);
      assert.deepEqual(
        await y.read(),
        Uint32Array.from({ length }, (_, i) => i + 2 * Math.min(i + 1, length - 1)),
      );
      opened.check();
    }
  },
);

test("the caller's own buffers, textures and samplers are bound beside the arrays", { skip }, async (t) => {
  const { memory } = await open(t, 6);
  const device = await sharedDevice();
  const length = 4 * 1024;
  const factors = device.createBuffer({ size: 64, usage: 0x80 | 0x8 });
  const offset = device.createBuffer({ size: 512, usage: 0x40 | 0x8 });
  const texture = device.createTexture({ size: [4, 4], format: "rgba8unorm", usage: 0x2 | 0x4 });
  t.after(() => [factors, offset, texture].forEach((each) => each.destroy()));
  device.queue.writeBuffer(factors, 0, counting(16));
  device.queue.writeBuffer(offset, 256, Uint32Array.of(1000));
  const texels = Uint8Array.from({ length: 64 }, (_, i) => (i % 4 === 0 ? i * 4 : 0));
  device.queue.writeTexture({ texture }, texels, { bytesPerRow: 16 }, [4, 4]);
  const x = memory.createArray("u32", length);
  await x.write(counting(length));
  const kernel = await memory.createKernel({
    wgsl: `
      @group(0) @binding(0) var<storage, read_write> x: array<u32>;
      @group(0) @binding(1) var<storage, read> factors: array<u32>;
      @group(1) @binding(0) var picture: texture_2d<f32>;
      @group(1) @binding(1) var nearest: sampler;
      @group(1) @binding(2) var<uniform> offset: u32;
      @group(1) @binding(3) var<uniform> own: u32;
      @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
        let i = id.x;
        let at = (vec2f(f32(i % 4u), f32(i / 4u % 4u)) + 0.5) / 4.0;
        let red = u32(round(textureSampleLevel(picture, nearest, at, 0.0).r * 255.0));
        x[i] = x[i] * factors[i % arrayLength(&factors)] + offset + red + own;
      }`,
    footprint: { x: { each: 1 } },
    bindings: ["factors", "offset"],
  });
  const bindings = {
    factors,
    offset: { buffer: offset, offset: 256, size: 4 },
    picture: texture,
    nearest: device.createSampler(),
  };
  const uniforms = { own: 5 };
  const report = await kernel.dispatch({ invocations: length, arrays: { x }, bindings, uniforms, mode: "streamed" });
  assert.equal(report.mode, "streamed");
  const expected = Uint32Array.from({ length }, (_, i) => i * (i % 16) + 1000 + (i % 16) * 16 + 5);
  assert.deepEqual(await x.read(), expected);
  // What WebGPU finds wrong with them is an error of the dispatch.
  await assert.rejects(
    kernel.dispatch({ invocations: length, arrays: { x }, uniforms, bindings: { ...bindings, offset: factors } }),
    /the GPU does not run kernel/,
  );
  await assertNothingUncaught(device);
});

test("a dispatch has more workgroups than WebGPU lets one dimension have", { skip }, async (t) => {
  const { memory } = await open(t, 16, { maxComputeWorkgroupsPerDimension: 7 });
  for (const invocations of [7 * 16, 8 * 16, 50 * 16 - 3, 3 * 1024]) {
    const x = memory.createArray("u32", 4 * 1024);
    await x.fill(1);
    const kernel = await memory.createKernel({
      wgsl: `
        @group(0) @binding(0) var<storage, read_write> x: array<u32>;
        @compute @workgroup_size(16) fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
          x[id.x] += id.x * 100u + groups.x;
        }`,
      footprint: { x: { each: 1 } },
    });
    await kernel.dispatch({ invocations, arrays: { x } });
    const groups = Math.ceil(invocations / 16);
    assert.deepEqual(
      await x.read(),
      Uint32Array.from({ length: 4 * 1024 }, (_, i) => (i < invocations ? i * 100 + groups + 1 : 1)),
    );
    x.destroy();
  }
});

test(
  "arrays of 64 MiB, with buffers of 1 MiB, 8 of them in a kernel, and device memory a quarter of one array",
  { skip },
  async (t) => {
    const MiB = 1024 * 1024;
    const device = await sharedDevice();
    const limits = { maxStorageBufferBindingSize: MiB, maxStorageBuffersPerShaderStage: 8 };
    const memory = await createUnifiedMemory({ device: await webgpuDevice({ device, budget: 16 * MiB, limits }) });
    t.after(() => memory.destroy());
    const length = 16 * MiB;
    const x = memory.createArray("u32", length);
    const y = memory.createArray("u32", length);
    const kernel = await memory.createKernel({
      wgsl: `
      @group(0) @binding(0) var<storage, read_write> x: array<u32>;
      @group(0) @binding(1) var<storage, read_write> y: array<u32>;
      @compute @workgroup_size(256) fn main(@builtin(global_invocation_id) id: vec3u) {
        x[id.x] += id.x;
        y[id.x] = x[id.x] * 3u + arrayLength(&y);
      }`,
      footprint: { x: { each: 1 }, y: { each: 1 } },
    });
    const report = await kernel.dispatch({ invocations: length, arrays: { x, y } });
    assert.equal(report.mode, "streamed");
    for (const start of [0, 5 * MiB + 17, length - 1000]) {
      const actual = await y.read({ start, length: 1000 });
      assert.deepEqual(
        actual,
        Uint32Array.from({ length: 1000 }, (_, i) => (start + i) * 3 + length),
      );
    }
    const whole = await memory.createKernel({
      wgsl: `
      @group(0) @binding(0) var<storage, read> x: array<u32>;
      @group(0) @binding(1) var<storage, read_write> y: array<u32>;
      @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) { y[id.x] = x[id.x * 7u]; }`,
      footprint: { x: "whole", y: { each: 1 } },
    });
    const invocations = 1000;
    for (const mode of ["resident", "streamed"] as const)
      await assert.rejects(
        whole.dispatch({ invocations, arrays: { x, y }, mode }),
        memoryError(
          "ENOMEM",
          /needs 67108864 bytes of "x" side by side, more than the 983040 bytes .*maxStorageBufferBindingSize/,
        ),
      );
  },
);

test("an array of which a kernel asks only the length is bound beside a texture", { skip }, async (t) => {
  const { memory } = await open(t, 4);
  const device = await sharedDevice();
  const texture = device.createTexture({ size: [1, 1], format: "r32uint", usage: 0x2 | 0x4 });
  t.after(() => texture.destroy());
  device.queue.writeTexture({ texture }, Uint32Array.of(5), {}, [1, 1]);
  const length = 4 * 1024;
  const [x, y] = [memory.createArray("u32", length), memory.createArray("u32", length + 7)];
  const kernel = await memory.createKernel({
    wgsl: `
      @group(0) @binding(0) var<storage, read_write> x: array<u32>;
      @group(0) @binding(1) var<storage, read> y: array<u32>;
      @group(0) @binding(2) var picture: texture_2d<u32>;
      @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
        x[id.x] = arrayLength(&y) + textureLoad(picture, vec2u(), 0).r;
      }`,
    footprint: { x: { each: 1 }, y: { each: 1 } },
  });
  for (const mode of ["streamed", "auto"] as const) {
    await kernel.dispatch({ invocations: length, arrays: { x, y }, bindings: { picture: texture }, mode });
    assert.deepEqual(await x.read(), new Uint32Array(length).fill(length + 7 + 5));
  }
});

test(
  "a kernel that is a function as well runs its WGSL on a GPU, with uniforms of any kind that WGSL takes",
  { skip },
  async (t) => {
    const driver = await webgpuDevice({ device: await sharedDevice(), budget: 16 * PAGE });
    const { memory } = await openMemory(t, { driver });
    const x = memory.createArray("f32", 3 * PAGE);
    const wgsl = `struct Pair { factor: f32, count: u32 }
    @group(0) @binding(0) var<storage, read_write> x: array<f32>;
    @group(0) @binding(1) var<uniform> add: f32;
    @group(0) @binding(2) var<uniform> query: vec4f;
    @group(0) @binding(3) var<uniform> pair: Pair;
    @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
      x[id.x] = add + query.y + pair.factor * f32(pair.count);
    }`;
    const host = { writes: ["x"], run: () => assert.fail("the function is not what a GPU runs") };
    const kernel = await memory.createKernel({ wgsl, host });
    const pair = new DataView(new ArrayBuffer(8));
    pair.setFloat32(0, 0.25, true);
    pair.setUint32(4, 6, true);
    const uniforms = { add: 1000, query: Float32Array.of(1, 0.5, 3, 4), pair };
    for (const mode of ["resident", "paged"] as const) {
      await x.fill(0);
      assert.equal((await kernel.dispatch({ invocations: x.length, arrays: { x }, uniforms, mode })).mode, mode);
      assert.ok(
        (await x.read()).every((value) => value === 1002),
        mode,
      );
    }
  },
);
