/** One hazard after the other, each in a process of its own: `node program.js NAME`. It prints what the test compares. */

import { print } from "../print.js";
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import {
  closeSync,
  ftruncateSync,
  mkdtempSync,
  openSync,
  promises,
  readFileSync,
  readSync,
  rmSync,
  writeSync,
} from "node:fs";
import { Session } from "node:inspector/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { gunzip, gzip } from "node:zlib";
import { promisify } from "node:util";
import { createUnifiedMemory, type PagedArray, type UnifiedMemory } from "../../../src/index.js";
import type { TransparentOptions } from "../../../src/unified/pager.js";
import type { Touch } from "./toucher.js";

const PAGE = 65_536;
const PAGES = 32;
/** The method that is asked for, where that is to be another than the first. */
const method = process.env["PAGEFERRY_FAULT_METHOD"] as TransparentOptions["method"];

type Memory = UnifiedMemory<SharedArrayBuffer>;
type Bytes = PagedArray<"u8", SharedArrayBuffer>;

interface Opened {
  readonly memory: Memory;
  readonly array: Bytes;
  readonly view: Uint8Array<SharedArrayBuffer>;
  /** What the elements are. */
  readonly wanted: Uint8Array<ArrayBuffer>;
  /** Sends all pages to the device. */
  readonly away: () => Promise<void>;
}

async function open(device = "mirrorDevice", transparent: TransparentOptions = {}): Promise<Opened> {
  const module = device === "mirrorDevice" ? {} : { module: new URL("./device.js", import.meta.url) };
  const memory = await createUnifiedMemory({
    cpuAccess: "transparent",
    device: { export: device, ...module, ...(device === "mirrorDevice" && { options: { budget: 2 ** 24 } }) },
    transparent: { ...transparent, ...(method && { method }) },
  });
  const array = memory.createArray("u8", PAGES * PAGE);
  const wanted = Uint8Array.from({ length: PAGES * PAGE }, (_, i) => (i * 7 + Math.floor(i / PAGE)) % 251);
  await array.write(wanted);
  const away = (): Promise<void> => array.prefetch("device");
  await away();
  return { memory, array, view: await array.view(), wanted, away };
}

async function slowKernel(memory: Memory) {
  return memory.createKernel({
    host: { module: new URL("./kernels.js", import.meta.url), export: "slow" },
    footprint: { bytes: { each: 1 } },
  });
}

/** A view of pages that are nowhere but on a device with which the pager comes to grief. */
async function writtenOnDevice(device: string, transparent: TransparentOptions = {}) {
  const { memory, array, view } = await open(device, transparent);
  const kernel = await slowKernel(memory);
  await kernel.dispatch({ invocations: view.length, arrays: { bytes: array }, uniforms: { milliseconds: 0 } });
  return view;
}

/** Starts a thread that touches a byte, and returns when it is about to. */
function touch(view: Uint8Array<SharedArrayBuffer>, at: number): Worker {
  const begun = new Int32Array(new SharedArrayBuffer(4));
  const workerData: Touch = { view, at, begun };
  const worker = new Worker(new URL("./toucher.js", import.meta.url), { workerData });
  Atomics.wait(begun, 0, 0, 5000);
  return worker;
}

async function sendAwayForEver(away: () => Promise<void>): Promise<never> {
  for (;;) await away();
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

function temporaryFile(): { descriptor: number; path: string; remove: () => void } {
  const folder = mkdtempSync(join(tmpdir(), "pageferry-hazard-"));
  const path = join(folder, "file");
  const descriptor = openSync(path, "w+");
  return {
    descriptor,
    path,
    remove: () => {
      closeSync(descriptor);
      rmSync(folder, { recursive: true });
    },
  };
}

const hazards: Record<string, () => Promise<void>> = {
  async mainThread() {
    const { memory, view, wanted, away } = await open();
    assert.ok(Buffer.compare(view, wanted) === 0);
    await away();
    for (let i = view.length - 1; i >= 0; i -= PAGE / 4) assert.equal(view[i], wanted[i]);
    await memory.destroy();
  },

  async systemCalls() {
    const { memory, array, view, wanted, away } = await open();
    const { descriptor, path, remove } = temporaryFile();
    assert.equal(writeSync(descriptor, view), view.length);
    assert.ok(readFileSync(path).equals(wanted));
    wanted.reverse();
    ftruncateSync(descriptor, 0);
    writeSync(descriptor, wanted, 0, wanted.length, 0);
    await away();
    assert.equal(readSync(descriptor, view, 0, view.length, 0), view.length);
    assert.deepEqual(await array.read(), wanted);
    remove();
    await memory.destroy();
  },

  async pool() {
    const { memory, array, view, wanted, away } = await open();
    const { path, remove } = temporaryFile();
    const file = await promises.open(path, "w+");
    const part = (i: number): Uint8Array => view.subarray(i * 2 * PAGE, (i + 1) * 2 * PAGE);
    // More than the pool has threads, all of which wait for pages.
    const all = Array.from({ length: 16 }, (_, i) => i);
    await Promise.all(all.map((i) => file.write(part(i), 0, 2 * PAGE, i * 2 * PAGE)));
    assert.ok(readFileSync(path).equals(wanted));
    await away();
    const packed = await Promise.all(all.map((i) => promisify(gzip)(part(i))));
    const unpacked = await Promise.all(packed.map((bytes) => promisify(gunzip)(bytes)));
    assert.ok(Buffer.concat(unpacked).equals(wanted));
    await away();
    await Promise.all(all.map((i) => file.read(part(i), 0, 2 * PAGE, (15 - i) * 2 * PAGE)));
    const now = await array.read();
    for (const i of all) {
      const there = now.subarray(i * 2 * PAGE, (i + 1) * 2 * PAGE);
      assert.ok(Buffer.compare(there, wanted.subarray((15 - i) * 2 * PAGE, (16 - i) * 2 * PAGE)) === 0);
    }
    await file.close();
    remove();
    await memory.destroy();
  },

  async exit() {
    const { memory, array, view } = await open();
    const kernel = await slowKernel(memory);
    void kernel.dispatch({ invocations: 1, arrays: { bytes: array }, uniforms: { milliseconds: 60_000 } });
    await pause(300);
    touch(view, 5);
    await pause(100);
    print("leaving");
    process.exit(3);
  },

  async exitInTheMiddle() {
    const { view, away } = await open();
    // The pager has faults to answer all the time, when the process exits.
    void sendAwayForEver(away);
    for (let i = 0; i < 3; i++) new Worker(new URL("./busy.js", import.meta.url), { workerData: { view, from: i } });
    await pause(300);
    process.exit(3);
  },

  async otherThread() {
    const { memory, array, view, wanted } = await open();
    const worker = new Worker(new URL("./connected.js", import.meta.url));
    const port = await memory.port();
    worker.postMessage({ port, handle: array.handle }, [port]);
    const [found] = (await once(worker, "message")) as [number[]];
    assert.deepEqual(found, [wanted[PAGE], wanted[PAGE + 1], 9]);
    assert.deepEqual([view[PAGE + 2], view[PAGE + 3]], [9, 10]);
    await worker.terminate();
    await memory.destroy();
  },

  async mappedFile() {
    const { path, remove } = temporaryFile();
    const content = Uint8Array.from({ length: 8 * PAGE + 100 }, (_, i) => i % 253);
    await promises.writeFile(path, content);
    const memory = await createUnifiedMemory({ cpuAccess: "transparent", hostBudget: 4 * PAGE });
    const array = await memory.mapFile(path, { type: "u8" });
    const view = await array.view();
    // More than memory has: pages that nobody has changed are read again.
    for (let round = 0; round < 2; round++) assert.ok(Buffer.compare(view, content) === 0);
    view[3 * PAGE] = content[3 * PAGE] = 254;
    assert.ok(Buffer.compare(view, content) === 0);
    assert.notEqual(readFileSync(path)[3 * PAGE], 254);
    await memory.destroy();
    remove();
  },

  async terminate() {
    const { memory, array, view, wanted } = await open();
    const kernel = await slowKernel(memory);
    const dispatch = kernel.dispatch({ invocations: 1, arrays: { bytes: array }, uniforms: { milliseconds: 500 } });
    await pause(200);
    const worker = touch(view, 5);
    await worker.terminate();
    await dispatch;
    assert.equal(view[0], (wanted[0] ?? 0) + 1);
    assert.equal(view[5], wanted[5]);
    await memory.destroy();
  },

  async waits() {
    const { memory, array, view, wanted } = await open();
    const kernel = await slowKernel(memory);
    const dispatch = kernel.dispatch({ invocations: 1, arrays: { bytes: array }, uniforms: { milliseconds: 300 } });
    await pause(100);
    const [found] = (await once(touch(view, 0), "message")) as [number];
    assert.equal(found, (wanted[0] ?? 0) + 1);
    await dispatch;
    await memory.destroy();
  },

  async crash() {
    const view = await writtenOnDevice("crashing");
    print(`never ${view[0]}`);
  },

  async silence() {
    const view = await writtenOnDevice("silent", { patience: 500 });
    print(`never ${view[0]}`);
  },

  async failure() {
    const view = await writtenOnDevice("failing");
    print(`never ${view[0]}`);
  },

  async readOnly() {
    const { array } = await open();
    const view = await array.snapshot().view();
    print(`read ${view[PAGE + 1]}`);
    view[PAGE + 1] = 1;
    print("never");
  },

  async noMemory() {
    const memory = await createUnifiedMemory({ cpuAccess: "transparent", hostBudget: 4 * PAGE });
    const view = await memory.createArray("u8", 8 * PAGE).view();
    for (let i = 0; i < view.length; i += PAGE) view[i] = 1;
    print("never");
  },

  async spawn() {
    const { memory, array, view, wanted, away } = await open();
    for (let i = 0; i < 10; i++) {
      assert.equal(view[i * PAGE], wanted[i * PAGE]);
      const child = spawn("true");
      await away();
      view[i * PAGE] = wanted[i * PAGE] = i;
      assert.equal(spawnSync("true").status, 0);
      if (child.exitCode === null) await once(child, "exit");
    }
    assert.deepEqual(await array.read(), wanted);
    await memory.destroy();
  },

  async unprivileged() {
    process.setgid?.(65_534);
    process.setuid?.(65_534);
    const { memory, view, wanted, away } = await open();
    assert.ok(Buffer.compare(view, wanted) === 0);
    await away();
    const { descriptor, remove } = temporaryFile();
    // A system call does not wait for a page then; one that is there it can use.
    assert.throws(() => writeSync(descriptor, view, 0, PAGE), { code: "EFAULT" });
    assert.equal(view[0], wanted[0]);
    assert.equal(writeSync(descriptor, view, 0, PAGE), PAGE);
    remove();
    await memory.destroy();
  },

  async collection() {
    const { memory } = await open();
    for (let i = 0; i < 40; i++) {
      const array = memory.createArray("u32", 3 * PAGE);
      const view = await array.view();
      view.fill(i);
      await array.prefetch("device");
      assert.equal(view[i * 1000], i);
      if (i % 3 !== 0) array.destroy();
      globalThis.gc?.();
    }
    await memory.destroy();
  },

  async signals() {
    const { memory, view, wanted, away } = await open();
    let signals = 0;
    process.on("SIGUSR2", () => signals++);
    const killer = spawn("sh", ["-c", `for i in $(seq 300); do kill -USR2 ${process.pid}; done`]);
    const done = once(killer, "exit");
    for (let i = 0; i < 20; i++) {
      await away();
      assert.equal(createHash("sha1").update(view).digest("hex"), createHash("sha1").update(wanted).digest("hex"));
    }
    await done;
    await pause(10);
    assert.ok(signals > 0);
    await memory.destroy();
  },

  async inspector() {
    const session = new Session();
    session.connect();
    await session.post("Profiler.enable");
    await session.post("Profiler.start");
    const { memory, view, wanted, away } = await open();
    for (let i = 0; i < 5; i++) {
      await away();
      assert.ok(Buffer.compare(view, wanted) === 0);
    }
    const { profile } = await session.post("Profiler.stop");
    assert.ok(profile.nodes.length > 0);
    await session.post("HeapProfiler.takeHeapSnapshot");
    session.disconnect();
    await memory.destroy();
  },

  async afterwards() {
    const { memory, array } = await open();
    const pin = await array.pin("write", { start: 10, length: 5 });
    pin.view[0] = 200;
    pin.release();
    const port = await memory.port();
    assert.ok(port !== null);
    await memory.destroy();
    await assert.rejects(array.view(), { code: "EINVAL" });
    // The next one in the same process.
    const { memory: next, view, wanted } = await open();
    assert.equal(view[3], wanted[3]);
    await next.destroy();
  },
};

const [name = ""] = process.argv.slice(2);
const hazard = hazards[name];
assert.ok(hazard !== undefined, `there is no hazard ${name}`);
await hazard();
print("done");
