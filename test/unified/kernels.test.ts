// Kernels: what a dispatch does and reports, and every way in which one is refused, with nothing changed.

import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import type { HostKernel, KernelRange } from "../../src/device/driver.js";
import { DispatchError } from "../../src/unified/dispatch-error.js";
import type { Footprint } from "../../src/unified/footprint.js";
import type { DispatchOptions, KernelDescriptor, Progress } from "../../src/unified/kernel.js";
import type { PagedArray } from "../../src/unified/paged-array.js";
import { memoryError, PAGE } from "../builders.js";
import { openMemory } from "./opened-memory.js";

/** y[i] += x[i] * factor. */
const scaleAdd: HostKernel = {
  writes: ["y"],
  run({ first, count, arrays, base, uniforms }: KernelRange) {
    const x = arrays["x"];
    const y = arrays["y"];
    for (let i = first; i < first + count; i++) y[i - base["y"]] += x[i - base["x"]] * uniforms["factor"];
  },
};
const scaleAddFootprint = { x: { each: 1 }, y: { each: 1 } } satisfies Record<string, Footprint>;

const LENGTH = 3 * 1024 + 17;

async function prepared(t: TestContext, devicePages = 16) {
  const opened = await openMemory(t, { devicePages });
  const { memory } = opened;
  const x = memory.createArray("f32", LENGTH, { label: "X" });
  const y = memory.createArray("f32", LENGTH, { label: "Y" });
  await x.write(Float32Array.from({ length: LENGTH }, (_, i) => i));
  await y.fill(1);
  const kernel = await memory.createKernel({ label: "scale-add", host: scaleAdd, footprint: scaleAddFootprint });
  return { opened, memory, x, y, kernel };
}

test("a dispatch does each of its invocations once, and nothing past them", async (t) => {
  for (const devicePages of [2, 3, 16]) {
    const { x, y, kernel, opened } = await prepared(t, devicePages);
    const invocations = 2000;
    const report = await kernel.dispatch({ invocations, arrays: { x, y }, uniforms: { factor: 2 } });
    assert.equal(report.invocations, invocations);
    assert.equal(report.mode, devicePages >= 4 ? "resident" : "streamed");
    assert.ok(report.steps >= (devicePages >= 4 ? 1 : 2));
    assert.deepEqual(
      await y.read(),
      Float32Array.from({ length: LENGTH }, (_, i) => (i < invocations ? 1 + 2 * i : 1)),
    );
    opened.check();
  }
});

test("no invocations are no work", async (t) => {
  const { x, y, kernel } = await prepared(t);
  const report = await kernel.dispatch({ invocations: 0, arrays: { x, y } });
  assert.equal(report.steps, 0);
  assert.ok((await y.read()).every((element) => element === 1));
});

test("progress rises step by step to all invocations", async (t) => {
  const { x, y, kernel } = await prepared(t, 2);
  const seen: Progress[] = [];
  await kernel.dispatch({
    invocations: LENGTH,
    arrays: { x, y },
    uniforms: { factor: 1 },
    onProgress: (progress) => void seen.push(progress),
  });
  assert.deepEqual(
    seen.map(({ completed }) => completed),
    [1024, 2048, 3072, LENGTH],
  );
  assert.ok(seen.every(({ invocations }) => invocations === LENGTH));
});

test("what a caller does to its options after the call changes nothing", async (t) => {
  const { x, y, kernel } = await prepared(t, 2);
  const options: DispatchOptions = { invocations: 10, arrays: { x, y }, uniforms: { factor: 1 } };
  const first = kernel.dispatch(options);
  options.uniforms!["factor"] = 100;
  const second = kernel.dispatch(options);
  options.invocations = LENGTH;
  options.mode = "resident"; // which does not fit
  options.uniforms!["factor"] = 10_000;
  options.arrays = {};
  assert.equal((await first).invocations, 10);
  assert.equal((await second).invocations, 10);
  assert.deepEqual(
    await y.read({ length: 12 }),
    Float32Array.from({ length: 12 }, (_, i) => (i < 10 ? 1 + i + 100 * i : 1)),
  );
});

test("an array that is only read may be given under two names", async (t) => {
  const { memory, x, y } = await prepared(t);
  const kernel = await memory.createKernel({
    host: {
      writes: ["sum"],
      run({ first, count, arrays, base }) {
        for (let i = first; i < first + count; i++) {
          arrays["sum"][i - base["sum"]] = arrays["a"][i - base["a"]] + arrays["b"][i - base["b"]];
        }
      },
    },
    footprint: { a: { each: 1 }, b: { each: 1 }, sum: { each: 1 } },
  });
  await kernel.dispatch({ invocations: LENGTH, arrays: { a: x, b: x, sum: y } });
  assert.deepEqual(
    await y.read(),
    Float32Array.from({ length: LENGTH }, (_, i) => 2 * i),
  );
});

test("a kernel that is described wrongly is refused", async (t) => {
  const { memory } = await openMemory(t);
  const run = (): void => {};
  const host = { writes: [] as string[], run };
  const refused: [what: string, descriptor: unknown, message: RegExp][] = [
    ["no host", { footprint: { x: { each: 1 } } }, /kernel "kernel" needs host: \{ writes, run \}/],
    ["no run", { label: "mine", host: { writes: [] }, footprint: { x: { each: 1 } } }, /kernel "mine" needs host/],
    ["no writes", { host: { run }, footprint: { x: { each: 1 } } }, /needs host: \{ writes, run \}/],
    ["no footprint", { host }, /kernel "kernel" needs a footprint for each of its arrays/],
    ["an empty footprint", { host, footprint: {} }, /needs a footprint for each of its arrays/],
    ["a footprint of nothing", { host, footprint: { x: { each: 0 } } }, /footprint of "x": each is 0/],
    [
      "a write without a footprint",
      { host: { writes: ["z"], run }, footprint: { x: { each: 1 } } },
      /kernel "kernel" writes "z", which has no footprint/,
    ],
  ];
  for (const [what, descriptor, message] of refused) {
    await t.test(what, () =>
      assert.rejects(memory.createKernel(descriptor as KernelDescriptor), memoryError("EINVAL", message)),
    );
  }
});

test("a dispatch with wrong options is refused before anything happens", async (t) => {
  const { memory, x, y, kernel, opened } = await prepared(t);
  const other = (await openMemory(t)).memory.createArray("f32", LENGTH, { label: "foreign" });
  const dead = memory.createArray("f32", LENGTH, { label: "dead" });
  dead.destroy();
  const short = memory.createArray("f32", 100, { label: "short" });
  await x.prefetch("device", { length: 1024 });
  const frames = opened.framesOf(y);
  const moved = memory.stats.migrations;
  const arrays = { x, y };
  const refused: [what: string, options: unknown, message: RegExp][] = [
    ["invocations below 0", { invocations: -1, arrays }, /-1 invocations are not a whole number of at least 0/],
    ["a fraction of invocations", { invocations: 2.5, arrays }, /2\.5 invocations/],
    ["no invocations given", { arrays }, /undefined invocations/],
    [
      "more invocations than elements",
      { invocations: LENGTH + 1, arrays },
      /3090 invocations of 1 elements each exceed the 3089 elements of array "X"/,
    ],
    [
      "a short array",
      { invocations: 101, arrays: { x, y: short } },
      /101 invocations of 1 elements each exceed the 100 elements of array "short"/,
    ],
    ["no arrays", { invocations: 1 }, /kernel "scale-add" needs array "x"/],
    ["an array missing", { invocations: 1, arrays: { x } }, /kernel "scale-add" needs array "y"/],
    ["an array too many", { invocations: 1, arrays: { x, y, z: x } }, /kernel "scale-add" has no array "z"/],
    [
      "something else for an array",
      { invocations: 1, arrays: { x, y: new Float32Array(9) } },
      /"y".* is not an array of this memory/,
    ],
    [
      "an array of another memory",
      { invocations: 1, arrays: { x, y: other } },
      /array "foreign" belongs to another memory/,
    ],
    ["a destroyed array", { invocations: 1, arrays: { x, y: dead } }, /array "dead" is destroyed/],
    [
      "an array read and written under two names",
      { invocations: 1, arrays: { x: y, y } },
      /kernel "scale-add" writes array "Y", given as both/,
    ],
    [
      "a mode that does not exist",
      { invocations: 1, arrays, mode: "fast" },
      /mode is "auto", "resident", "streamed" or "paged", not "fast"/,
    ],
  ];
  for (const [what, options, message] of refused) {
    await t.test(what, async () => {
      await assert.rejects(kernel.dispatch(options as DispatchOptions), memoryError("EINVAL", message));
      assert.deepEqual(opened.framesOf(y), frames);
      assert.deepEqual(memory.stats.migrations, moved);
    });
  }
  opened.check();
});

test("a dispatch that needs more than the device has is refused with both numbers, and nothing has moved", async (t) => {
  const { memory, x, y, kernel, opened } = await prepared(t, 1);
  const arrays = { x, y };
  await assert.rejects(
    kernel.dispatch({ invocations: LENGTH, arrays, uniforms: { factor: 1 } }),
    memoryError("ENOMEM", /one step of kernel "scale-add" needs 8192 bytes of device memory, more than the 4096 bytes/),
  );
  await assert.rejects(
    kernel.dispatch({ invocations: LENGTH, arrays, uniforms: { factor: 1 }, mode: "resident" }),
    memoryError("ENOMEM", /kernel "scale-add" uses 32768 bytes at once, more than 4096 bytes of device memory/),
  );
  assert.equal(opened.onDevice(x) + opened.onDevice(y), 0);
  assert.equal(memory.stats.migrations.toDevice.kernel.pages, 0);
  assert.ok((await y.read()).every((element) => element === 1));
  opened.check();
});

test("a kernel that throws stops the dispatch; the error says how far it came, and why", async (t) => {
  const { memory, x, y, opened } = await prepared(t, 2);
  const cause = new RangeError("not this one");
  const kernel = await memory.createKernel({
    label: "picky",
    host: {
      writes: ["y"],
      run(range) {
        if (range.first >= 2048) throw cause;
        scaleAdd.run(range);
      },
    },
    footprint: scaleAddFootprint,
  });
  const before = await x.read();
  await assert.rejects(
    kernel.dispatch({ invocations: LENGTH, arrays: { x, y }, uniforms: { factor: 1 } }),
    (error: unknown) => {
      assert.ok(error instanceof DispatchError);
      assert.equal(error.completed, 2048);
      assert.equal(error.cause, cause);
      return memoryError("EIO", /kernel "picky" stopped after 2048 of 3089 invocations: not this one/)(error);
    },
  );
  assert.deepEqual(await x.read(), before, "an array that is only read is untouched");
  opened.check();
  await y.fill(0);
  assert.equal((await y.read())[5], 0, "the memory goes on");
});

test("a kernel that throws while the next step is loaded ahead lets both steps go", async (t) => {
  for (const late of [false, true]) {
    const opened = await openMemory(t, { devicePages: 8, link: { latency: 1 } });
    const { memory } = opened;
    const x = memory.createArray("f32", 20 * 1024);
    await x.fill(1);
    const kernel = await memory.createKernel({
      host: {
        writes: ["x"],
        run({ first }) {
          if (!late && first > 0) throw new Error("not this one");
        },
      },
      footprint: { x: { each: 1 } },
    });
    let steps = 0;
    const dispatching = kernel.dispatch({
      invocations: x.length,
      arrays: { x },
      onProgress() {
        if (late && ++steps === 2) throw new Error("not this one");
      },
    });
    await assert.rejects(dispatching, memoryError("EIO", /stopped after \d+ of 20480 invocations: not this one/));
    opened.check();
    await x.prefetch("host");
    assert.equal(opened.onDevice(x), 0, "nothing is held on the device");
    opened.check();
  }
});

test("a kernel that throws at its first step says that 0 invocations completed", async (t) => {
  const { memory, x, y } = await prepared(t);
  const kernel = await memory.createKernel({
    host: {
      writes: ["y"],
      run() {
        throw new TypeError("at once");
      },
    },
    footprint: scaleAddFootprint,
  });
  await assert.rejects(kernel.dispatch({ invocations: 5, arrays: { x, y } }), (error: unknown) => {
    assert.ok(error instanceof DispatchError);
    assert.equal(error.completed, 0);
    return memoryError("EIO", /stopped after 0 of 5 invocations: at once/)(error);
  });
});

test("a kernel that throws something that is no error is reported all the same", async (t) => {
  const { memory, x, y } = await prepared(t);
  const kernel = await memory.createKernel({
    host: {
      writes: ["y"],
      run() {
        // oxlint-disable-next-line only-throw-error -- what a careless kernel does
        throw "a string";
      },
    },
    footprint: scaleAddFootprint,
  });
  await assert.rejects(
    kernel.dispatch({ invocations: 5, arrays: { x, y } }),
    memoryError("EIO", /stopped after 0 of 5 invocations: a string/),
  );
});

test("a kernel must not await: one that gives a promise is refused, since its work would come too late", async (t) => {
  const { memory, x, y, opened } = await prepared(t);
  const kernel = await memory.createKernel({
    host: { writes: ["y"], run: Object.assign(() => Promise.resolve()) },
    footprint: scaleAddFootprint,
  });
  await assert.rejects(
    kernel.dispatch({ invocations: 5, arrays: { x, y } }),
    memoryError("EINVAL", /a kernel must not await/),
  );
  opened.check();
});

test("a progress listener that throws stops the dispatch like a kernel that does", async (t) => {
  const { x, y, kernel, opened } = await prepared(t, 2);
  await assert.rejects(
    kernel.dispatch({
      invocations: LENGTH,
      arrays: { x, y },
      uniforms: { factor: 1 },
      onProgress() {
        throw new Error("no more");
      },
    }),
    memoryError("EIO", /stopped after 1024 of 3089 invocations: no more/),
  );
  opened.check();
});

test("the views of a kernel begin at the elements that base says, with their halo, and end with the array", async (t) => {
  const { memory } = await openMemory(t, { devicePages: 3 });
  const length = 4 * PAGE;
  const x = memory.createArray("u8", length);
  await x.write(Uint8Array.from({ length }, (_, i) => (i * 7) & 0xff));
  const ranges: [first: number, base: number, length: number][] = [];
  const kernel = await memory.createKernel({
    host: {
      writes: [],
      run({ first, count, arrays, base }) {
        const view = arrays["x"] as Uint8Array;
        ranges.push([first, base["x"], view.length]);
        assert.equal(base["x"], Math.max(first * 2 - 3, 0));
        assert.equal(base["x"] + view.length, Math.min((first + count) * 2 + 5, length));
        for (let i = 0; i < view.length; i++) assert.equal(view[i], ((base["x"] + i) * 7) & 0xff);
      },
    },
    footprint: { x: { each: 2, before: 3, after: 5 } },
  });
  const arrays: Record<string, PagedArray> = { x };
  const report = await kernel.dispatch({ invocations: length / 2, arrays });
  assert.equal(report.mode, "streamed");
  assert.ok(ranges.length > 1);
});
