// A driver that somebody else might write: everything works over memory that JavaScript cannot reach, the order of what
// it is asked is what its documentation says, and nothing that it does wrong harms the memory.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Device } from "../../src/device/driver.js";
import { createUnifiedMemory, DispatchError, type HostKernel } from "../../src/index.js";
import { memoryError, PAGE } from "../builders.js";
import { checkInvariants } from "../invariants.js";
import { type OpenedMemory, openUntended } from "../unified/opened-memory.js";
import { plainly, startsOf, workloads } from "../unified/workloads.js";
import { alteredDriver, LedgerDriver, type Method } from "./ledger-driver.js";

const addOne: HostKernel = {
  writes: ["y"],
  run({ first, count, arrays, base }) {
    for (let i = first; i < first + count; i++) arrays["y"][i - base["y"]] = arrays["x"][i - base["x"]] + 1;
  },
};

function check({ machine }: OpenedMemory): void {
  checkInvariants(machine);
}

test("every workload gives the bytes of a plain loop on a driver written from the documentation", async () => {
  for (const lookahead of [0, 1, 2]) {
    for (const workload of workloads(PAGE)) {
      const driver = new LedgerDriver(12 * PAGE);
      driver.lookahead = lookahead;
      const opened = await openUntended({ driver });
      const { kernel: host, footprint, invocations, uniforms } = workload;
      const starts = startsOf(workload);
      const arrays = Object.fromEntries(
        Object.entries(workload.arrays).map(([name, { type, length }]) => [
          name,
          opened.memory.createArray(type, length),
        ]),
      );
      for (const [name, start] of Object.entries(starts)) await arrays[name]?.write(start);
      const kernel = await opened.memory.createKernel({ host, footprint });
      for (let round = 0; round < 2; round++) {
        await kernel.dispatch({ invocations, arrays, uniforms });
        plainly(workload, starts);
        check(opened);
      }
      for (const [name, expected] of Object.entries(starts)) {
        const actual = await arrays[name]?.read();
        assert.deepEqual(actual, expected, `${workload.name}, array ${name}`);
      }
      await opened.destroyed();
      assert.equal(driver.events.at(-1), "close 0 frames ends", "every frame was discarded before the end");
    }
  }
});

async function streaming(lookahead: number): Promise<{ driver: LedgerDriver; dispatch: () => Promise<unknown> }> {
  const driver = new LedgerDriver(8 * PAGE);
  driver.lookahead = lookahead;
  const opened = await openUntended({ driver });
  const x = opened.memory.createArray("u8", 8 * PAGE);
  const y = opened.memory.createArray("u8", 8 * PAGE);
  await x.fill(1);
  const kernel = await opened.memory.createKernel({
    label: "add",
    host: addOne,
    footprint: { x: { each: 1 }, y: { each: 1 } },
  });
  driver.events.length = 0;
  const dispatch = async (): Promise<void> => {
    await kernel.dispatch({ invocations: 8 * PAGE, arrays: { x, y }, mode: "streamed" });
    assert.ok((await y.read()).every((byte) => byte === 2));
    await opened.destroyed();
  };
  return { driver, dispatch };
}

/** Do two methods overlap somewhere: one that begins with `outer` lasting while one that begins with `inner` begins? */
function overlaps(events: readonly string[], outer: string, inner: string): number {
  let within = false;
  let count = 0;
  for (const event of events) {
    if (event.startsWith(outer)) within = event.endsWith("begins");
    else if (within && event.startsWith(inner) && event.endsWith("begins")) count++;
  }
  return count;
}

test("with lookahead the next step is loaded while the kernel of the one before runs", async () => {
  const { driver, dispatch } = await streaming(1);
  // A kernel ends only when everything else that can go on has gone on.
  driver.before = (method) => (method === "execute" ? new Promise((resolve) => setTimeout(resolve, 1)) : undefined);
  await dispatch();
  const executed = driver.events.filter((event) => event.startsWith("execute") && event.endsWith("begins"));
  assert.ok(executed.length >= 4);
  assert.ok(overlaps(driver.events, "execute", "upload") >= executed.length - 1, driver.events.join("\n"));
  assert.equal(overlaps(driver.events, "execute", "execute"), 0, "kernels run one after another");
});

test("with a queue the next step is executed while the one before runs, never more than two at once, and in order", async () => {
  const { driver, dispatch } = await streaming(2);
  let running = 0;
  let most = 0;
  driver.before = async (method) => {
    if (method !== "execute") return;
    most = Math.max(most, ++running);
    await new Promise((resolve) => setTimeout(resolve, 1));
    running--;
  };
  await dispatch();
  assert.equal(most, 2);
  const begun = driver.events.filter((event) => event.startsWith("execute") && event.endsWith("begins"));
  const firsts = begun.map((event) => Number.parseInt(event.slice("execute ".length), 10));
  assert.deepEqual(
    firsts,
    firsts.toSorted((a, b) => a - b),
  );
  assert.ok(overlaps(driver.events, "execute", "upload") > 0, "what comes next is loaded meanwhile");
});

test("when a step of a queue fails, those behind it are waited for, and what completed before it is said", async () => {
  const driver = new LedgerDriver(12 * PAGE);
  driver.lookahead = 2;
  const opened = await openUntended({ driver });
  const x = opened.memory.createArray("u8", 8 * PAGE);
  const y = opened.memory.createArray("u8", 8 * PAGE);
  await x.fill(1);
  const kernel = await opened.memory.createKernel({
    label: "add",
    host: addOne,
    footprint: { x: { each: 1 }, y: { each: 1 } },
  });
  let executed = 0;
  let running = 0;
  driver.before = async (method) => {
    if (method !== "execute") return;
    const turn = executed++;
    running++;
    await new Promise((resolve) => setTimeout(resolve, turn === 2 ? 5 : 1));
    running--;
    if (turn === 1) throw new Error("the bus is gone");
  };
  const completed: number[] = [];
  const dispatched = kernel.dispatch({
    invocations: 8 * PAGE,
    arrays: { x, y },
    mode: "streamed",
    onProgress: (progress) => void completed.push(progress.completed),
  });
  await assert.rejects(dispatched, (error: unknown) => {
    assert.ok(error instanceof DispatchError);
    assert.deepEqual(completed, [error.completed]);
    assert.match(error.message, /the bus is gone/);
    return true;
  });
  assert.equal(executed, 3, "the third was executed before the second failed");
  assert.equal(running, 0);
  check(opened);
  driver.before = () => {};
  await x.fill(1);
  await kernel.dispatch({ invocations: 8 * PAGE, arrays: { x, y } });
  assert.ok((await y.read()).every((byte) => byte === 2));
  await opened.destroyed();
});

test("without lookahead nothing is copied while a kernel runs", async () => {
  const { driver, dispatch } = await streaming(0);
  driver.before = (method) => (method === "execute" ? new Promise((resolve) => setTimeout(resolve, 1)) : undefined);
  await dispatch();
  for (const copy of ["upload", "download", "clear"]) assert.equal(overlaps(driver.events, "execute", copy), 0);
});

test("contiguous pages come in few runs", async () => {
  const driver = new LedgerDriver(64 * PAGE);
  const opened = await openUntended({ driver });
  const x = opened.memory.createArray("u8", 50 * PAGE);
  await x.fill(1);
  await x.prefetch("device");
  assert.deepEqual(
    driver.events.filter((event) => event.startsWith("upload") && event.endsWith("begins")),
    ["upload 0+50 begins"],
  );
  await opened.destroyed();
});

const failing: Method[] = ["upload", "download", "clear", "execute"];

for (const method of failing) {
  for (const how of ["rejects", "throws at once"]) {
    test(`a driver whose ${method} ${how}: the error comes through, nothing is lost, and the memory goes on`, async () => {
      const driver = new LedgerDriver(6 * PAGE);
      const opened = await openUntended({ driver });
      const { memory } = opened;
      const x = memory.createArray("u8", 8 * PAGE);
      const y = memory.createArray("u8", 8 * PAGE);
      await x.fill(1);
      const kernel = await memory.createKernel({
        label: "add",
        host: addOne,
        footprint: { x: { each: 1 }, y: { each: 1 } },
      });
      const dispatch = (): Promise<unknown> => kernel.dispatch({ invocations: 8 * PAGE, arrays: { x, y } });
      let calls = 0;
      const cause = new Error("the bus is gone");
      driver.before = (asked) => {
        if (asked !== method || calls++ !== 1) return undefined;
        if (how === "rejects") return Promise.reject(cause);
        throw cause;
      };
      await assert.rejects(
        dispatch().then(() => y.read()),
        (error: unknown) =>
          error === cause ||
          memoryError("EIO", /kernel "add" stopped after \d+ of 32768 invocations: the bus is gone/)(error),
      );
      assert.equal(calls, 2);
      check(opened);
      assert.ok(
        (await x.read()).every((byte) => byte === 1),
        "what is only read is untouched",
      );
      await dispatch();
      assert.ok((await y.read()).every((byte) => byte === 2));
      check(opened);
      await opened.destroyed();
    });
  }
}

test("methods of a driver that throw instead of rejecting are no different", async (t) => {
  const cause = new Error("thrown");
  let thrower = "";
  const driver = new LedgerDriver(6 * PAGE);
  const throwing = alteredDriver(driver, (device) => {
    const unless = <T>(method: keyof Device, act: () => T): T => {
      if (thrower === method) throw cause;
      return act();
    };
    return {
      upload: (copies) => unless("upload", () => device.upload(copies)),
      download: (copies) => unless("download", () => device.download(copies)),
      clear: (frames) => unless("clear", () => device.clear(frames)),
      createKernel: (descriptor) => unless("createKernel", () => device.createKernel(descriptor)),
    };
  });
  const opened = await openUntended({ driver: throwing });
  const x = opened.memory.createArray("u8", 3 * PAGE);
  const empty = opened.memory.createArray("u8", PAGE);
  await x.fill(1);
  const footprint = { x: { each: 1 } };
  const touch = (): Promise<unknown> => opened.memory.createKernel({ host: { writes: ["x"], run() {} }, footprint });
  const attempts: [method: keyof Device, act: () => Promise<unknown>][] = [
    ["upload", () => x.prefetch("device")],
    ["clear", () => empty.prefetch("device")],
    ["createKernel", touch],
  ];
  for (const [method, act] of attempts) {
    await t.test(method, async () => {
      thrower = method;
      await assert.rejects(act(), (error) => error === cause);
      thrower = "";
      check(opened);
      await act();
    });
  }
  await t.test("download", async () => {
    const kernel = await opened.memory.createKernel({ host: { writes: ["x"], run() {} }, footprint });
    await kernel.dispatch({ invocations: 3 * PAGE, arrays: { x } });
    thrower = "download";
    await assert.rejects(x.read(), (error) => error === cause);
    thrower = "";
    check(opened);
    assert.ok((await x.read()).every((byte) => byte === 1));
  });
  await opened.destroyed();
});

test("a driver that cannot be opened leaves nothing, and can be opened again", async () => {
  const driver = new LedgerDriver(6 * PAGE);
  const cause = new Error("no such device");
  driver.before = () => Promise.reject(cause);
  await assert.rejects(createUnifiedMemory({ device: driver, pageSize: PAGE }), (error) => error === cause);
  driver.open = () => {
    throw cause;
  };
  await assert.rejects(createUnifiedMemory({ device: driver, pageSize: PAGE }), (error) => error === cause);
  const again = new LedgerDriver(6 * PAGE);
  await (await createUnifiedMemory({ device: again, pageSize: PAGE })).destroy();
});

test("a driver that brings other memory than it said is refused, and its device closed", async (t) => {
  const refused: [what: string, kind: unknown, device: Partial<Device>, message: RegExp][] = [
    ["no frames", "private", { frames: 0, bytes: null }, /a device of 0 page frames has no memory/],
    ["a fraction", "private", { frames: 1.5, bytes: null }, /a device of 1\.5 page frames/],
    ["less than none", "private", { frames: -1, bytes: null }, /a device of -1 page frames/],
    ["not a number", "private", { frames: Number.NaN, bytes: null }, /a device of NaN page frames/],
    [
      "more than its budget",
      "private",
      { frames: 7, bytes: null },
      /brings 28672 bytes, more than its budget of 24576 bytes/,
    ],
    [
      "private memory with bytes",
      "private",
      { frames: 4, bytes: new Uint8Array(4 * PAGE) },
      /private device memory takes no bytes/,
    ],
    ["coherent memory without bytes", "coherent", { frames: 4, bytes: null }, /coherent device memory needs bytes/],
    [
      "coherent memory with too few",
      "coherent",
      { frames: 4, bytes: new Uint8Array(PAGE) },
      /4096 bytes are too few for 4 page frames/,
    ],
    [
      "coherent memory off alignment",
      "coherent",
      { frames: 1, bytes: new Uint8Array(2 * PAGE).subarray(4) },
      /not at a multiple of 8/,
    ],
    ["a lookahead of 3", "private", { lookahead: 3 }, /the lookahead of ledger is 3, not 0, 1 or 2/],
    ["no kind of memory", "shared", { frames: 4, bytes: null }, /kind is "private" or "coherent", not "shared"/],
  ];
  for (const [what, kind, memory, message] of refused) {
    await t.test(what, async () => {
      const plain = new LedgerDriver(6 * PAGE);
      const driver = alteredDriver(plain, () => memory, kind as "private");
      await assert.rejects(createUnifiedMemory({ device: driver, pageSize: PAGE }), memoryError("EINVAL", message));
      assert.equal(
        plain.events.filter((event) => event.startsWith("open") && event.endsWith("ends")).length,
        plain.events.filter((event) => event.startsWith("close") && event.endsWith("ends")).length,
        "what was opened is closed",
      );
    });
  }
});
