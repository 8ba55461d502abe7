// The mirror: its link in simulated time, kernels over frames that lie apart, and its memory when it is closed.

import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { CopyList } from "../../src/device/copy-list.js";
import type { Device, DeviceHost, KernelSlice } from "../../src/device/driver.js";
import { type ElementType, strideOf, viewOf } from "../../src/device/element.js";
import { type LinkOptions, mirrorDevice } from "../../src/device/mirror/index.js";
import { memoryError, PAGE } from "../builders.js";
import { TestEnvironment } from "../environments.js";
import { openMemory } from "../unified/opened-memory.js";
import { between, pick, withSeeds } from "../unified/random-operands.js";
import { sameBytes } from "../bytes.js";

const HOST_FRAMES = 16;

/** A clock that moves only while somebody sleeps. */
class SimulatedClock extends TestEnvironment {
  #time = 0;
  #sleepers: { until: number; wake: () => void }[] = [];

  override now(): number {
    return this.#time;
  }

  override sleep(milliseconds: number): Promise<void> {
    return new Promise((wake) => {
      this.#sleepers.push({ until: this.#time + milliseconds, wake });
      setImmediate(() => this.#wakeNext());
    });
  }

  #wakeNext(): void {
    this.#sleepers.sort((a, b) => a.until - b.until);
    const next = this.#sleepers.shift();
    if (next === undefined) return;
    this.#time = next.until;
    next.wake();
  }
}

interface Opened {
  readonly device: Device;
  readonly hostMemory: Uint8Array;
  readonly clock: SimulatedClock;
}

async function openMirror(
  options: {
    frames?: number;
    kind?: "private" | "coherent";
    link?: LinkOptions;
    debug?: boolean;
    shared?: boolean;
  } = {},
): Promise<Opened> {
  const { frames = 8, kind = "private", link = {}, debug = false, shared = false } = options;
  const hostMemory = new Uint8Array(HOST_FRAMES * PAGE);
  for (let frame = 0; frame < HOST_FRAMES; frame++) hostMemory.fill(frame + 1, frame * PAGE, (frame + 1) * PAGE);
  const clock = new SimulatedClock();
  const host: DeviceHost = {
    pageSize: PAGE,
    environment: clock,
    debug,
    shared,
    bytes: (frame, count) => hostMemory.subarray(frame * PAGE, (frame + count) * PAGE),
  };
  return { device: await mirrorDevice({ budget: frames * PAGE, kind, link }).open(host), hostMemory, clock };
}

function copiesOf(...pairs: [host: number, device: number][]): CopyList {
  const list = new CopyList(64);
  for (const [host, device] of pairs) list.push(host, device);
  return list;
}

function clearsOf(...frames: number[]): CopyList {
  const list = new CopyList(64);
  for (const frame of frames) list.pushClear(frame);
  return list;
}

const firstByte = (device: Device, frame: number): number | undefined => device.run(frame, 1)?.[0];

test("copies and clears reach exactly the frames that they name", async () => {
  const { device, hostMemory } = await openMirror({ debug: true });
  for (let frame = 0; frame < 8; frame++) device.discard(frame);
  await device.upload(copiesOf([3, 5], [4, 6], [9, 0]));
  await device.clear(clearsOf(1, 2));
  assert.deepEqual(
    Array.from({ length: 8 }, (_, frame) => firstByte(device, frame)),
    [10, 0, 0, 0xdb, 0xdb, 4, 5, 0xdb],
  );
  await device.download(copiesOf([14, 6], [1, 2]));
  assert.deepEqual(
    [0, 1, 2, 13, 14, 15].map((frame) => hostMemory[frame * PAGE]),
    [1, 0, 3, 14, 5, 16],
  );
});

test("a link takes its latency for every transfer, and a time in proportion to the bytes", async () => {
  const cases: [link: LinkOptions, pages: number, milliseconds: number][] = [
    [{ latency: 3 }, 1, 3],
    [{ latency: 3 }, 5, 3],
    [{ bandwidth: PAGE * 1000 }, 5, 5],
    [{ bandwidth: PAGE * 100, latency: 2 }, 4, 42],
  ];
  for (const [link, pages, milliseconds] of cases) {
    const { device, clock } = await openMirror({ link });
    const copies = copiesOf(...Array.from({ length: pages }, (_, i): [number, number] => [i, i]));
    for (const direction of ["upload", "download"] as const) {
      const began = clock.now();
      await device[direction](copies);
      assert.ok(Math.abs(clock.now() - began - milliseconds) < 1e-9, `${clock.now() - began} ms`);
    }
    const began = clock.now();
    await device.clear(clearsOf(0, 1, 2));
    assert.equal(clock.now() - began, link.latency ?? 0, "a clear sends no bytes");
  }
});

test("nothing has arrived before its time", async () => {
  const { device } = await openMirror({ link: { latency: 1 } });
  const uploading = device.upload(copiesOf([3, 0]));
  assert.equal(firstByte(device, 0), 0);
  await uploading;
  assert.equal(firstByte(device, 0), 4);
});

test("a download over a link that takes no time is done when it returns, and over another is waited for", async () => {
  const { device, hostMemory } = await openMirror();
  await device.upload(copiesOf([3, 0]));
  hostMemory[5 * PAGE] = 0;
  assert.equal(device.download(copiesOf([5, 0])), undefined);
  assert.equal(hostMemory[5 * PAGE], 4);
  const slow = await openMirror({ link: { latency: 1 } });
  assert.ok(slow.device.download(copiesOf([5, 0])) instanceof Promise);
});

test("only a link that takes time is worth loading ahead for", async () => {
  assert.equal((await openMirror()).device.lookahead, 0);
  assert.equal((await openMirror({ link: { latency: 1 } })).device.lookahead, 1);
  assert.equal((await openMirror({ link: { bandwidth: 1e9 } })).device.lookahead, 1);
});

test("a link that breaks is asked before each transfer, and has done half of it", async () => {
  const asked: [direction: string, pages: number][] = [];
  const { device, hostMemory } = await openMirror({
    link: {
      fails: (direction, pages) => {
        asked.push([direction, pages]);
        return true;
      },
    },
  });
  await assert.rejects(
    device.upload(copiesOf([1, 0], [3, 2], [5, 4], [7, 6])),
    memoryError("EIO", /upload of 4 pages failed on the link/),
  );
  assert.deepEqual(
    [0, 2, 4, 6].map((frame) => firstByte(device, frame)),
    [2, 4, 0, 0],
  );
  await assert.rejects(
    async () => device.download(copiesOf([9, 0], [11, 2])),
    memoryError("EIO", /download of 2 pages/),
  );
  assert.deepEqual([hostMemory[9 * PAGE], hostMemory[11 * PAGE]], [2, 12]);
  await assert.rejects(device.clear(clearsOf(0)), memoryError("EIO", /clear of 1 pages/));
  assert.equal(firstByte(device, 0), 2);
  assert.deepEqual(asked, [
    ["upload", 4],
    ["download", 2],
    ["clear", 1],
  ]);
});

test("discarded frames are poisoned with debug, and left alone without", async () => {
  for (const debug of [true, false]) {
    const { device } = await openMirror({ debug });
    await device.upload(copiesOf([0, 3]));
    device.discard(3);
    assert.equal(firstByte(device, 3), debug ? 0xdb : 1);
    assert.equal(firstByte(device, 4), 0);
  }
});

test("a closed mirror refuses transfers, also those under way, and closing it again does nothing", async () => {
  const { device } = await openMirror({ link: { latency: 1 } });
  const uploading = device.upload(copiesOf([0, 0]));
  await device.close();
  await device.close();
  const closed = memoryError("ENODEV", /mirror \(private, software\) is closed/);
  await assert.rejects(uploading, closed);
  await assert.rejects(async () => device.download(copiesOf([0, 0])), closed);
  await assert.rejects(device.clear(clearsOf(0)), closed);
});

test("coherent memory is the memory that the CPU sees", async () => {
  const { device } = await openMirror({ kind: "coherent" });
  await device.upload(copiesOf([6, 2]));
  assert.equal(device.bytes?.[2 * PAGE], 7);
  device.bytes[2 * PAGE] = 99;
  assert.equal(firstByte(device, 2), 99);
  assert.equal((await openMirror()).device.bytes, null);
});

test("a kernel sees one view whether its frames lie side by side or apart, and what it writes goes back to them", async (t: TestContext) => {
  await withSeeds(t, 120, async (random) => {
    const { device } = await openMirror({ frames: 8 });
    const truth = Uint8Array.from({ length: 8 * PAGE }, () => between(random, 0, 255));
    device.run(0, 8)?.set(truth);
    const type = pick<ElementType>(random, ["u8", "u16", "f32", "f64"]);
    const stride = strideOf(type);
    const apart = random() < 0.7;
    const order = Array.from({ length: 8 }, (_, frame) => frame);
    if (apart) order.sort(() => random() - 0.5);
    const count = between(random, 1, 8);
    const frames = Int32Array.from(order.slice(0, count));
    const first = between(random, 0, PAGE / stride - 1);
    const length = between(random, 1, (count * PAGE) / stride - first);
    const slice: KernelSlice = {
      name: "x",
      type,
      first: 1000,
      length,
      total: 1000 + length,
      offset: first * stride,
      frames,
      written: random() < 0.7,
    };
    const places = Array.from({ length: length * stride }, (_, i) => {
      const byte = first * stride + i;
      return (frames[Math.floor(byte / PAGE)] ?? 0) * PAGE + (byte % PAGE);
    });
    const kernel = await device.createKernel({
      label: "k",
      host: {
        writes: [],
        run({ first: from, count: invocations, arrays, base, uniforms }) {
          assert.deepEqual([from, invocations, base["x"], uniforms["u"]], [7, 9, 1000, "v"]);
          const view = arrays["x"] as Uint8Array;
          assert.equal(view.constructor, viewOf(type, new ArrayBuffer(8), 0, 1).constructor);
          assert.equal(view.length, length);
          const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
          assert.deepEqual(
            bytes.slice(),
            Uint8Array.from(places, (place) => truth[place] ?? 0),
          );
          if (!slice.written) return;
          for (const [i, place] of places.entries()) bytes[i] = truth[place] = (i * 13 + 5) & 0xff;
        },
      },
    });
    await kernel.execute({
      first: 7,
      count: 9,
      invocations: 16,
      shape: [16, 1, 1],
      slices: [slice],
      uniforms: { u: "v" },
      bindings: {},
    });
    assert.ok(sameBytes(truth, device.run(0, 8) ?? new Uint8Array()));
    const scattered = frames.some((frame, i) => frame !== (frames[0] ?? 0) + i);
    assert.equal(kernel.scratchBytes, scattered ? count * PAGE : 0);
  });
});

test("two slices of neighbouring pages written in one step keep each other's elements on the page that they share", async () => {
  const { device } = await openMirror();
  const slice = (name: string, frames: number[], first: number, length: number): KernelSlice => {
    return {
      name,
      type: "u8",
      first,
      length,
      total: first + length,
      offset: first,
      frames: Int32Array.from(frames),
      written: true,
    };
  };
  const kernel = await device.createKernel({
    label: "k",
    host: {
      writes: ["a", "b"],
      run({ arrays }) {
        (arrays["a"] as Uint8Array).fill(1);
        (arrays["b"] as Uint8Array).fill(2);
      },
    },
  });
  const slices = [slice("a", [5, 2], 0, PAGE + 100), slice("b", [2, 7], 100, PAGE)];
  await kernel.execute({ first: 0, count: 1, invocations: 16, shape: [16, 1, 1], slices, uniforms: {}, bindings: {} });
  const shared = device.run(2, 1) ?? new Uint8Array();
  assert.deepEqual([shared[99], shared[100], shared[PAGE - 1]], [1, 2, 2]);
  assert.equal(device.run(7, 1)?.[99], 2);
  assert.equal(device.run(7, 1)?.[100], 0);
});

test("a streamed dispatch takes as long as its uploads, when kernels take no time", async (t) => {
  const clock = new SimulatedClock();
  const opened = await openMemory(t, { environment: clock, devicePages: 8, link: { latency: 10 } });
  const x = opened.memory.createArray("u8", 16 * PAGE);
  await x.fill(1);
  const kernel = await opened.memory.createKernel({ host: { writes: [], run() {} }, footprint: { x: { each: 1 } } });
  const began = clock.now();
  const report = await kernel.dispatch({ invocations: x.length, arrays: { x } });
  assert.equal(report.mode, "streamed");
  assert.equal(report.phases.upload, 10 * report.steps, "one upload a step, each with the link's latency");
  assert.equal(clock.now() - began, 10 * report.steps);
});

test("two memories at once keep to their own", async (t) => {
  const openings = [openMemory(t, { devicePages: 3 }), openMemory(t, { devicePages: 5, kind: "coherent" })];
  const [one, two] = await Promise.all(openings);
  assert.ok(one !== undefined && two !== undefined);
  const work = [one, two].map(async ({ memory }, i) => {
    const x = memory.createArray("u32", 6 * 1024 + i);
    await x.fill(i + 1);
    const kernel = await memory.createKernel({
      host: {
        writes: ["x"],
        run({ first, count, arrays, base }) {
          for (let at = first; at < first + count; at++) arrays["x"][at - base["x"]] += at;
        },
      },
      footprint: { x: { each: 1 } },
    });
    for (let round = 0; round < 3; round++) await kernel.dispatch({ invocations: x.length, arrays: { x } });
    assert.deepEqual(
      await x.read(),
      Uint32Array.from({ length: x.length }, (_, at) => i + 1 + 3 * at),
    );
  });
  await Promise.all(work);
  one.check();
  two.check();
  assert.equal(one.memory.stats.device.budgetBytes, 3 * PAGE);
  assert.equal(two.memory.stats.device.kind, "coherent");
});
