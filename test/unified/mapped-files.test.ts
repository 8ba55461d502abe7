// Arrays over files: the file as it was opened, refusals with the system's reason, and files that are closed again.

import assert from "node:assert/strict";
import { readFile, rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import type { ByteSource } from "../../src/unified/byte-source.js";
import { FileSource } from "../../src/unified/local/file-source.js";
import { memoryError, PAGE } from "../builders.js";
import { temporaryFolder } from "../temporary-folder.js";
import { openMemory, openUntended } from "./opened-memory.js";

function pattern(bytes: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length: bytes }, (_, i) => i * 7 + (i >>> 12) * 31);
}

test("a file is mapped as it is: deleted or written over elsewhere, it stays; cut, it is EIO", async (t) => {
  const path = join(await temporaryFolder(t), "numbers");
  const bytes = pattern(20 * PAGE);
  await writeFile(path, bytes);
  const { memory } = await openMemory(t, { hostPages: 8 });
  const array = await memory.mapFile(path, { type: "u8" });
  await array.fill(1, { length: PAGE });
  assert.deepEqual(new Uint8Array(await readFile(path)), bytes, "the file is as it was");
  bytes.fill(1, 0, PAGE);
  assert.deepEqual(await array.read(), bytes);
  await rm(path);
  assert.deepEqual(await array.read(), bytes, "what is open is still there");

  await writeFile(path, bytes);
  const cut = await memory.mapFile(path, { type: "u8" });
  await truncate(path, 5 * PAGE);
  assert.deepEqual(await cut.read({ length: 5 * PAGE }), bytes.slice(0, 5 * PAGE));
  await assert.rejects(
    cut.read({ start: 6 * PAGE }),
    memoryError("EIO", /numbers had 81920 bytes when it was mapped and ends at 20480 now/),
  );
});

test("what cannot be opened is refused by name, with the system's reason", async (t) => {
  const folder = await temporaryFolder(t);
  const { memory } = await openMemory(t);
  await assert.rejects(
    memory.mapFile(join(folder, "none"), { type: "u8" }),
    memoryError("ENOENT", /none cannot be mapped/),
  );
  await assert.rejects(memory.mapFile(folder, { type: "u8" }), memoryError("EINVAL", /is no file whose bytes/));
  await assert.rejects(memory.mapFile("", { type: "u8" }), memoryError("EINVAL", /a path or a file URL/));
  await assert.rejects(memory.mapFile(3 as unknown as string, { type: "u8" }), memoryError("EINVAL", /not 3/));
  const empty = join(folder, "empty");
  await writeFile(empty, "");
  await assert.rejects(memory.mapFile(empty, { type: "u8" }), memoryError("EINVAL", /has 0 bytes/));
});

test("a file is closed with its array, with the last snapshot of it, and with the memory", async (t) => {
  const path = join(await temporaryFolder(t), "numbers");
  await writeFile(path, pattern(4 * PAGE));
  const openFiles: FileSource[] = [];
  const closed = new Set<ByteSource>();
  const original = FileSource.open.bind(FileSource);
  t.mock.method(FileSource, "open", async (given: string) => {
    const source = await original(given);
    openFiles.push(source);
    const close = source.close.bind(source);
    source.close = () => {
      closed.add(source);
      return close();
    };
    return source;
  });
  const opened = await openUntended();
  const { memory } = opened;
  const first = await memory.mapFile(path, { type: "u8" });
  const second = await memory.mapFile(path, { type: "u8" });
  await memory.mapFile(path, { type: "u8" });
  await assert.rejects(memory.mapFile(path, { type: "u8", offset: 99_999 }));
  assert.ok(closed.has(openFiles[3] ?? assert.fail()), "refused, it is closed at once");
  await second.fill(1, { length: 10 });
  const snapshot = second.snapshot();
  first.destroy();
  second.destroy();
  await snapshot.read();
  assert.deepEqual(
    openFiles.map((source) => closed.has(source)),
    [true, false, false, true],
  );
  snapshot.destroy();
  const last = memory.mapFile(path, { type: "u8" }).catch(() => {});
  await opened.destroyed();
  await last;
  assert.equal(closed.size, openFiles.length);
});
