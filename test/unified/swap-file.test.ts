// The swap file: an array of four times the host budget keeps the process within the budget; a disk that is full, gone or
// not ours is a clear error; the file is gone when the memory is.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readdirSync } from "node:fs";
import { type FileHandle, open, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import { promisify } from "node:util";
import {
  createUnifiedMemory,
  type DeviceDriver,
  mirrorDevice,
  type UnifiedMemory,
  type UnifiedMemoryOptions,
} from "../../src/index.js";
import { MemorySwapStore } from "../../src/mm/swap/swap-store.js";
import { memoryError, PAGE } from "../builders.js";
import { temporaryFolder } from "../temporary-folder.js";

const MiB = 1024 * 1024;
const PROGRAM = fileURLToPath(new URL("swapping-program.js", import.meta.url));

async function openSwapping(
  t: TestContext,
  options: Partial<UnifiedMemoryOptions>,
  hostPages = 16,
): Promise<UnifiedMemory> {
  const memory = await createUnifiedMemory({
    device: mirrorDevice({ budget: 8 * PAGE }),
    pageSize: PAGE,
    hostBudget: hostPages * PAGE,
    ...options,
  });
  t.after(() => memory.destroy());
  return memory;
}

function pattern(pages: number): Uint8Array {
  const bytes = new Uint8Array(pages * PAGE);
  for (let i = 0; i < bytes.length; i++) bytes[i] = (i * 7 + (i >>> 12) * 31) & 0xff;
  return bytes;
}

test("a process with an array of four times its host budget stays within the budget", async (t) => {
  const folder = await temporaryFolder(t);
  const run = async (size: number): Promise<{ peak: number; swapped: number }> => {
    const { stdout } = await promisify(execFile)(process.execPath, [PROGRAM, join(folder, `swap-${size}`), `${size}`]);
    return JSON.parse(stdout) as { peak: number; swapped: number };
  };
  const tiny = await run(1);
  const large = await run(256);
  assert.equal(tiny.swapped, 0);
  assert.ok(large.swapped >= 192 * MiB);
  t.diagnostic(`peak resident set: ${mebibytes(tiny.peak)} with 1 MiB, ${mebibytes(large.peak)} with 256 MiB`);
  // The budget, the device, and 48 MiB for what the collector has not collected yet; the array itself is 256 MiB.
  assert.ok(large.peak - tiny.peak < (64 + 16 + 48) * MiB, `${mebibytes(large.peak)} over ${mebibytes(tiny.peak)}`);
});

function mebibytes(bytes: number): string {
  return `${Math.round(bytes / MiB)} MiB`;
}

test("pages go to the file and come back, and the file has no name", async (t) => {
  const folder = await temporaryFolder(t);
  const path = join(folder, "swap");
  for (const swapFile of [path, pathToFileURL(path), { path }, { path, limit: 64 * PAGE }]) {
    const memory = await openSwapping(t, { swapFile });
    assert.deepEqual(readdirSync(folder), []);
    const array = memory.createArray("u8", 64 * PAGE);
    const bytes = pattern(64);
    await array.write(bytes);
    assert.deepEqual(await array.read(), bytes);
    const { swap, host } = memory.stats;
    assert.ok(swap !== null && swap.writtenBytes >= 48 * PAGE && swap.readBytes >= 48 * PAGE);
    assert.ok(swap.usedBytes <= 64 * PAGE && host.usedBytes <= host.budgetBytes);
    assert.deepEqual(readdirSync(folder), []);
    await memory.destroy();
  }
});

test("a swap file that is full is ENOMEM with its limit, and nothing is lost", async (t) => {
  const path = join(await temporaryFolder(t), "swap");
  const memory = await openSwapping(t, { swapFile: { path, limit: 10 * PAGE } });
  const array = memory.createArray("u8", 24 * PAGE);
  const bytes = pattern(24);
  await array.write(bytes);
  const other = memory.createArray("u8", 8 * PAGE);
  await assert.rejects(
    other.fill(1),
    memoryError("ENOMEM", /65536 of 65536 bytes are in use, and so are 40960 of 40960 bytes of swap/),
  );
  other.destroy();
  assert.deepEqual(await array.read(), bytes);
});

test("options that make no swap are refused, and nothing is left", async (t) => {
  const folder = await temporaryFolder(t);
  const path = join(folder, "swap");
  const refused: [options: object, message: RegExp][] = [
    [{ swapFile: "" }, /swapFile is a path or \{ path, limit \}, not ""/],
    [{ swapFile: 7 }, /not 7/],
    [{ swapFile: {} }, /not an object without a path/],
    [{ swapFile: { path, limt: 3 } }, /swapFile has the option limt, which is neither path nor limit/],
    [{ swapFile: { path, limit: 100 } }, /at most 100 bytes does not hold one page of 4096 bytes/],
    [{ swapFile: { path, limit: Number.NaN } }, /at most NaN bytes/],
    [{ swapFile: path, hostBudget: undefined }, /swapFile needs a hostBudget/],
    [{ swapFile: path, hostBudget: Infinity }, /swapFile needs a hostBudget/],
    [{ swapStore: new MemorySwapStore(3), hostBudget: undefined }, /swapStore needs a hostBudget/],
    [{ swapFile: path, swapStore: new MemorySwapStore(3) }, /two places/],
    [{ swapFile: path, pageSize: 5000 }, /page size 5000/],
  ];
  for (const [options, message] of refused) {
    const given = { pageSize: PAGE, hostBudget: 16 * PAGE, ...options } as UnifiedMemoryOptions;
    await assert.rejects(createUnifiedMemory(given), memoryError("EINVAL", message));
    assert.deepEqual(readdirSync(folder), []);
  }
});

test("a file that cannot be made is refused by name, and what is there is left alone", async (t) => {
  const folder = await temporaryFolder(t);
  const path = join(folder, "precious");
  await writeFile(path, "bytes");
  const given = { pageSize: PAGE, hostBudget: 16 * PAGE };
  await assert.rejects(
    createUnifiedMemory({ ...given, swapFile: path }),
    memoryError("EEXIST", /swap file .*precious cannot be made/),
  );
  await assert.rejects(
    createUnifiedMemory({ ...given, swapFile: join(folder, "none", "swap") }),
    memoryError("ENOENT", /swap file .*swap cannot be made/),
  );
  assert.deepEqual(readdirSync(folder), ["precious"]);
});

test("a store of the caller's serves as well, and is closed once", async (t) => {
  let closed = 0;
  const swapStore = Object.assign(new MemorySwapStore(100), { close: () => Promise.resolve(void closed++) });
  const memory = await openSwapping(t, { swapStore });
  const array = memory.createArray("u8", 64 * PAGE);
  await array.write(pattern(64));
  assert.deepEqual(await array.read(), pattern(64));
  await memory.destroy();
  assert.equal(closed, 1);
});

test("a store is closed also when a driver breaks its word and its close fails", async () => {
  let closed = 0;
  const swapStore = Object.assign(new MemorySwapStore(100), { close: () => Promise.resolve(void closed++) });
  const plain = mirrorDevice({ budget: MiB });
  const device: DeviceDriver = {
    ...plain,
    open: async (host) =>
      Object.assign(await plain.open(host), { close: () => Promise.reject(new Error("bad close")) }),
  };
  const memory = await createUnifiedMemory({ device, hostBudget: MiB, swapStore });
  await assert.rejects(memory.destroy(), /bad close/);
  assert.equal(closed, 1);
});

test("a store is closed when the memory cannot be made", async () => {
  let closed = 0;
  const swapStore = Object.assign(new MemorySwapStore(100), { close: () => Promise.resolve(void closed++) });
  const device = mirrorDevice({ budget: 100 });
  await assert.rejects(createUnifiedMemory({ device, hostBudget: MiB, swapStore }), memoryError("EINVAL", /budget/));
  assert.equal(closed, 1);
});

/** Files whose handle does as it is told. */
function mockFiles(t: TestContext, change: (handle: FileHandle) => void): void {
  const unlink = (): Promise<void> => Promise.resolve();
  const files = {
    open: async (...given: Parameters<typeof open>) => {
      const handle = await open(...given);
      change(handle);
      return handle;
    },
    unlink,
  };
  t.mock.method(process, "getBuiltinModule", () => files);
}

function systemError(code: string): Error {
  return Object.assign(new Error(`${code}: it is so, write`), { code });
}

test("a disk that is full is ENOSPC, naming file and offset; nothing is lost, and it goes on once there is room", async (t) => {
  const path = join(await temporaryFolder(t), "swap");
  let full = false;
  mockFiles(t, (handle) => {
    const write = handle.write.bind(handle) as (...given: unknown[]) => Promise<unknown>;
    Object.assign(handle, {
      write: (...given: unknown[]) => (full ? Promise.reject(systemError("ENOSPC")) : write(...given)),
    });
  });
  const memory = await openSwapping(t, { swapFile: path });
  const array = memory.createArray("u8", 40 * PAGE);
  const bytes = pattern(40);
  await array.write(bytes);
  // Pages that have to be written before others can come.
  await array.write(bytes.subarray(0, 16 * PAGE));
  full = true;
  await assert.rejects(
    array.write(bytes),
    memoryError("ENOSPC", /swap file .*swap could not be written, \d+ bytes at offset \d+: ENOSPC/),
  );
  full = false;
  assert.deepEqual(await array.read(), bytes);
});

test("a disk that takes and gives only a part at a time is asked again", async (t) => {
  const path = join(await temporaryFolder(t), "swap");
  mockFiles(t, (handle) => {
    const [read, write] = [handle.read.bind(handle), handle.write.bind(handle)] as unknown as ((
      ...given: unknown[]
    ) => Promise<unknown>)[];
    const part = (length: number): number => Math.max(1, Math.floor(length / 3));
    Object.assign(handle, {
      read: (into: Uint8Array, at: number, length: number, from: number) => read?.(into, at, part(length), from),
      write: (from: Uint8Array, at: number, length: number, to: number) => write?.(from, at, part(length), to),
    });
  });
  const memory = await openSwapping(t, { swapFile: path });
  const array = memory.createArray("u8", 40 * PAGE);
  await array.write(pattern(40));
  assert.deepEqual(await array.read(), pattern(40));
});

test("a swap file that ends before its slots do is EIO", async (t) => {
  const path = join(await temporaryFolder(t), "swap");
  mockFiles(t, (handle) => void Object.assign(handle, { read: () => Promise.resolve({ bytesRead: 0 }) }));
  const memory = await openSwapping(t, { swapFile: path });
  const array = memory.createArray("u8", 40 * PAGE);
  await array.write(pattern(40));
  await assert.rejects(array.read(), memoryError("EIO", /swap file .* ends at offset \d+: there is no slot/));
});
