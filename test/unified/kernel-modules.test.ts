// Kernels that are modules: where they run, that it makes no difference, and what becomes of a dispatch whose worker fails.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test, type TestContext } from "node:test";
import type { HostModule } from "../../src/device/driver.js";
import { DispatchError } from "../../src/unified/dispatch-error.js";
import type { KernelDescriptor, Progress } from "../../src/unified/kernel.js";
import { memoryError } from "../builders.js";
import { type MemorySetup, openMemory } from "./opened-memory.js";

const LENGTH = 3 * 1024 + 17;
const footprint = { x: { each: 1 }, y: { each: 1 } };
const MODULE = new URL("./module-kernels.js", import.meta.url);

const of = (name: string): HostModule => ({ module: MODULE, export: name });

async function prepared(t: TestContext, setup: MemorySetup = {}) {
  const opened = await openMemory(t, { devicePages: 4, shared: true, ...setup });
  const { memory } = opened;
  const x = memory.createArray("f32", LENGTH, { label: "X" });
  const y = memory.createArray("f32", LENGTH, { label: "Y" });
  await x.write(Float32Array.from({ length: LENGTH }, (_, i) => i));
  await y.fill(1);
  const create = (name: string, changes: Partial<KernelDescriptor> = {}) =>
    memory.createKernel({ label: name, host: of(name), footprint, ...changes });
  return { opened, memory, x, y, create };
}

const scaled = (invocations: number, factor: number): Float32Array =>
  Float32Array.from({ length: LENGTH }, (_, i) => (i < invocations ? 1 + i * factor : 1));

for (const kind of ["private", "coherent"] as const) {
  test(`in a shared machine a module's kernel runs in a worker, else where the pager is (${kind})`, async (t) => {
    for (const shared of [false, true]) {
      const { opened, x, y, create } = await prepared(t, { shared, kind });
      const place = await create("place");
      await place.dispatch({ invocations: LENGTH, arrays: { x, y } });
      assert.ok((await y.read()).every((value) => value === (shared ? 2 : 1)));
      await y.fill(1);
      const kernel = await create("scaleAdd");
      for (const mode of ["streamed", "auto"] as const) {
        await y.fill(1);
        const report = await kernel.dispatch({ invocations: 3000, arrays: { x, y }, uniforms: { factor: 2 }, mode });
        assert.equal(report.mode, "streamed");
        assert.deepEqual(await y.read(), scaled(3000, 2));
        opened.check();
      }
    }
  });
}

test("the next step is loaded while a worker computes, and progress is told step by step", async (t) => {
  const { opened, x, y, create } = await prepared(t);
  const kernel = await create("slow");
  const seen: Progress[] = [];
  const dispatching = kernel.dispatch({
    invocations: LENGTH,
    arrays: { x, y },
    uniforms: { factor: 1, milliseconds: 30 },
    onProgress: (progress) => void seen.push(progress),
  });
  let overlapped = false;
  for (let turn = 0; turn < 1000 && !overlapped && seen.length === 0; turn++) {
    await new Promise((resolve) => setTimeout(resolve, 1));
    overlapped = opened.onDevice(x) === 2;
  }
  assert.ok(overlapped && seen.length === 0, "two steps are on the device before the first has ended");
  await dispatching;
  assert.deepEqual(
    seen.map(({ completed }) => completed),
    [1024, 2048, 3072, LENGTH],
  );
  assert.deepEqual(await y.read(), scaled(LENGTH, 1));
  opened.check();
});

test("a module, an export or a kernel that is not there is refused by name, wherever it would run", async (t) => {
  for (const shared of [false, true]) {
    const { memory, create } = await prepared(t, { shared });
    const lost = new URL("./no-such-module.js", import.meta.url);
    const create_ = (host: unknown) => memory.createKernel({ label: "k", host: host as HostModule, footprint });
    await assert.rejects(
      create_({ module: lost, export: "scaleAdd" }),
      memoryError("EINVAL", /kernel "k": no export "scaleAdd", as file:.*no-such-module\.js cannot be imported: /),
    );
    await assert.rejects(
      create_(of("scaleMul")),
      memoryError("EINVAL", /kernel "k": file:.*module-kernels\.js has no export "scaleMul"; it exports .*scaleAdd/),
    );
    await assert.rejects(
      create_(of("noKernel")),
      memoryError("EINVAL", /export "noKernel" of file:.*module-kernels\.js is no kernel \{ writes, run \}/),
    );
    await assert.rejects(
      create_({ module: "./module-kernels.js", export: "scaleAdd" }),
      memoryError("EINVAL", /module "\.\/module-kernels\.js", which is no whole URL: give it as new URL\(/),
    );
    await assert.rejects(create_({ module: MODULE }), memoryError("EINVAL", /needs host: \{ module, export \}/));
    await assert.rejects(
      create("scaleAdd", { footprint: { x: { each: 1 } } }),
      memoryError("EINVAL", /kernel "scaleAdd" writes "y", which has no footprint/),
    );
  }
});

test("a module that only the worker cannot import is refused when the kernel is made", async (t) => {
  const { memory, x, y, create, opened } = await prepared(t);
  const text = `import { isMainThread } from "node:worker_threads";
    if (!isMainThread) throw new Error("not in a worker");
    export const kernel = { writes: [], run() {} };`;
  const module = `data:text/javascript,${encodeURIComponent(text)}`;
  await assert.rejects(
    memory.createKernel({ label: "shy", host: { module, export: "kernel" }, footprint }),
    memoryError("EINVAL", /kernel "shy": no export "kernel", as data:.* cannot be imported: not in a worker/),
  );
  const kernel = await create("scaleAdd");
  await kernel.dispatch({ invocations: LENGTH, arrays: { x, y }, uniforms: { factor: 3 } });
  assert.deepEqual(await y.read(), scaled(LENGTH, 3), "the worker goes on");
  opened.check();
});

test("uniforms are those of the call, and what cannot be posted is refused before anything happens", async (t) => {
  for (const shared of [false, true]) {
    const { memory, opened, x, y, create } = await prepared(t, { shared });
    const kernel = await create("scaleAdd");
    const moved = memory.stats.migrations;
    await assert.rejects(
      kernel.dispatch({ invocations: 5, arrays: { x, y }, uniforms: { factor: () => 2 } }),
      memoryError("EINVAL", /uniforms of kernel "scaleAdd" cannot be posted to a worker: /),
    );
    assert.deepEqual(memory.stats.migrations, moved);
    const uniforms = { factor: new Float32Array([4]) };
    const dispatching = kernel.dispatch({ invocations: LENGTH, arrays: { x, y }, uniforms });
    uniforms.factor[0] = 100;
    await dispatching;
    assert.deepEqual(await y.read(), scaled(LENGTH, 4));
    opened.check();
  }
});

test("a kernel that throws in a worker stops the dispatch as it does in place", async (t) => {
  for (const shared of [false, true]) {
    const { opened, x, y, create } = await prepared(t, { shared });
    const before = await x.read();
    const picky = await create("picky");
    await assert.rejects(
      picky.dispatch({ invocations: LENGTH, arrays: { x, y }, uniforms: { factor: 1 } }),
      (error: unknown) => {
        assert.ok(error instanceof DispatchError);
        assert.equal(error.completed, 2048);
        assert.ok(error.cause instanceof RangeError);
        assert.equal((error.cause as { element?: unknown }).element, 2048);
        return memoryError("EIO", /kernel "picky" stopped after 2048 of 3089 invocations: not this one/)(error);
      },
    );
    assert.deepEqual(await x.read(), before, "an array that is only read is untouched");
    opened.check();
    const once = { invocations: 5, arrays: { x, y } };
    await assert.rejects((await create("throwing")).dispatch(once), memoryError("EIO", /of 5 invocations: a string/));
    await assert.rejects((await create("awaiting")).dispatch(once), memoryError("EINVAL", /a kernel must not await/));
    await y.fill(1);
    await (await create("scaleAdd")).dispatch({ ...once, uniforms: { factor: 2 } });
    assert.deepEqual(await y.read(), scaled(5, 2), "the memory goes on");
    opened.check();
  }
});

test("a worker that ends in the middle of a step rejects the dispatch, and the next starts a new one", async (t) => {
  const { opened, x, y, create } = await prepared(t);
  const dying = await create("dying");
  const counting = await create("counting");
  const run = (uniforms: object) =>
    dying.dispatch({ invocations: LENGTH, arrays: { x, y }, uniforms: { factor: 1, ...uniforms } });
  const countOf = async (): Promise<number> => {
    await counting.dispatch({ invocations: 1, arrays: { x, y } });
    return (await y.read({ length: 1 }))[0] ?? Number.NaN;
  };
  assert.equal(await countOf(), 1);
  assert.equal(await countOf(), 2, "one worker for all kernels and dispatches");
  for (let round = 0; round < 2; round++) {
    await assert.rejects(run({ how: "exit" }), (error: unknown) => {
      assert.ok(error instanceof DispatchError);
      assert.equal(error.completed, 0);
      return memoryError(
        "EIO",
        /kernel "dying" stopped after 0 of 3089 invocations: thread "kernels of mirror .*" exited with code 3/,
      )(error);
    });
    opened.check();
    await x.prefetch("host");
    assert.equal(opened.onDevice(x), 0, "nothing is held on the device");
    assert.equal(await countOf(), 1, "a new worker");
  }
  await y.fill(1);
  await run({});
  assert.deepEqual(await y.read(), scaled(LENGTH, 1));
});

test("an error that nobody in the worker catches ends it between steps, and that is all", async (t) => {
  const { opened, x, y, create } = await prepared(t);
  const dying = await create("dying");
  const once = { invocations: 5, arrays: { x, y } };
  await dying.dispatch({ ...once, uniforms: { factor: 1, how: "later" } });
  // It may take its time until that is known here: a step that is posted meanwhile fails with it.
  for (let ended = false; !ended;) {
    await y.fill(1);
    try {
      await dying.dispatch({ ...once, uniforms: { factor: 2 } });
      ended = (await y.read({ length: 5 })).every((value, i) => value === 1 + 2 * i);
    } catch (error) {
      memoryError("EIO", /thread "kernels of .*" was ended by an error: after the step/)(error);
    }
  }
  opened.check();
});

test("an abort takes effect when the step in the worker has ended, and the next step is let go", async (t) => {
  const { opened, x, y, create } = await prepared(t);
  const slow = await create("slow");
  const controller = new AbortController();
  const dispatching = slow.dispatch({
    invocations: LENGTH,
    arrays: { x, y },
    uniforms: { factor: 1, milliseconds: 20 },
    signal: controller.signal,
  });
  const waiting = slow.dispatch({ invocations: 5, arrays: { x, y }, uniforms: { factor: 1, milliseconds: 1 } });
  setTimeout(() => controller.abort(new Error("enough")), 30);
  await assert.rejects(dispatching, { message: "enough" });
  await waiting;
  await x.prefetch("host");
  assert.equal(opened.onDevice(x), 0, "nothing is held on the device");
  opened.check();
});

test("destroying a memory ends a step in the worker that never would, and rejects the dispatch", async (t) => {
  const { memory, x, y, create } = await prepared(t);
  const slow = await create("slow");
  const arrays = { x, y };
  const dispatching = slow.dispatch({ invocations: LENGTH, arrays, uniforms: { factor: 1, milliseconds: 1e9 } });
  const waiting = slow.dispatch({ invocations: 5, arrays, uniforms: { factor: 1, milliseconds: 30 } });
  const outcomes = Promise.allSettled([dispatching, waiting]);
  await new Promise((resolve) => setTimeout(resolve, 10));
  await memory.destroy();
  const [stopped, rejected] = await outcomes;
  assert.equal(stopped.status, "rejected");
  assert.ok(stopped.reason instanceof DispatchError);
  memoryError("EINVAL", /kernel "slow" stopped after 0 of 3089 invocations: the memory is destroyed/)(stopped.reason);
  assert.equal(rejected.status, "rejected");
  memoryError("EINVAL", /^EINVAL: the memory is destroyed$/)(rejected.reason);
  await assert.rejects(create("scaleAdd"), memoryError("EINVAL", /the memory is destroyed/));
});

test("a memory that is destroyed while its kernel is imported makes none", async (t) => {
  const { memory, create } = await prepared(t);
  const creating = create("scaleAdd");
  const destroyed = memory.destroy();
  await assert.rejects(creating, memoryError("EINVAL", /the memory is destroyed/));
  await destroyed;
});

test("a memory that is forgotten with its worker does not keep a process alive", () => {
  const at = (path: string): string => JSON.stringify(new URL(path, import.meta.url).href);
  const text = `import { createUnifiedMemory, mirrorDevice } from ${at("../../src/index.js")};
    const mirror = mirrorDevice({ budget: 1 << 20 });
    const device = { ...mirror, open: (host) => mirror.open({ ...host, shared: true }) };
    const memory = await createUnifiedMemory({ device });
    const y = memory.createArray("f32", 1000);
    const kernel = await memory.createKernel({
      footprint: { y: { each: 1 } },
      host: { module: ${at("./module-kernels.js")}, export: "place" },
    });
    await kernel.dispatch({ invocations: 1000, arrays: { y } });
    console.log((await y.read())[999]);`;
  const { stdout, stderr, status } = spawnSync(process.execPath, ["--input-type=module", "--eval", text], {
    encoding: "utf8",
  });
  assert.equal(stderr, "");
  assert.equal(status, 0);
  assert.equal(stdout, "2\n");
});
