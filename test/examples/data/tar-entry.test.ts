import assert from "node:assert/strict";
import { test } from "node:test";
import { tarEntry } from "../../../examples/data/tar-entry.js";
import { madeTar } from "./made-archive.js";

async function* inPieces(bytes: Uint8Array, length: number): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < bytes.length; start += length) yield bytes.subarray(start, start + length);
}

async function read(tar: Uint8Array, path: string, piece: number): Promise<string> {
  const parts = [];
  for await (const part of tarEntry(inPieces(tar, piece), path)) parts.push(Buffer.from(part));
  return Buffer.concat(parts).toString();
}

const tar = madeTar({
  "package/a": "first",
  "package/empty": "",
  "package/b": "x".repeat(1300),
  "package/c": "y".repeat(512),
});

test("each entry comes whole, in whatever pieces the archive comes", async () => {
  for (const piece of [1, 7, 511, 512, 513, 100_000]) {
    assert.equal(await read(tar, "package/a", piece), "first");
    assert.equal(await read(tar, "package/empty", piece), "");
    assert.equal(await read(tar, "package/b", piece), "x".repeat(1300));
    assert.equal(await read(tar, "package/c", piece), "y".repeat(512));
  }
});

test("an entry that is not there is an error that names it", async () => {
  await assert.rejects(read(tar, "package/d", 100), { code: "EBADMSG", message: "the archive has no entry package/d" });
});

test("an archive that is cut off is an error: in an entry, in the padding after it, in a header", async () => {
  await assert.rejects(read(tar.subarray(0, 2500), "package/b", 100), { code: "EBADMSG", message: /cut off/ });
  await assert.rejects(read(tar.subarray(0, 700), "package/a", 100), { code: "EBADMSG", message: /cut off/ });
  await assert.rejects(read(tar.subarray(0, 1200), "package/a", 100), { code: "EBADMSG", message: /cut off/ });
});

test("one changed byte in a header is noticed", async () => {
  const changed = Buffer.from(tar);
  changed[130] ^= 1;
  await assert.rejects(read(changed, "package/a", 100), { code: "EBADMSG", message: /checksum/ });
});
