// What arrays are written from and streamed to: every kind of source, cut anywhere, failing in the middle, aborted; and
// streams that read no further than they are asked to.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { PagedArray } from "../../src/unified/paged-array.js";
import { memoryError, PAGE } from "../builders.js";
import { openMemory } from "./opened-memory.js";
import { setting } from "../setting.js";
import { joined } from "../bytes.js";
import { type NodeStreams, nodeStreams } from "../node-streams.js";

function numbers(length: number): Float64Array<ArrayBuffer> {
  return Float64Array.from({ length }, (_, i) => i + 1);
}

function randomFrom(seed: number): () => number {
  let state = seed;
  return () => (state = (state * 1_664_525 + 1_013_904_223) >>> 0) / 2 ** 32;
}

/** The bytes in chunks of random lengths, some of none; after `failAfter` bytes the source fails. */
function* cutAtRandom(bytes: Uint8Array<ArrayBuffer>, random: () => number, failAfter = Infinity) {
  for (let at = 0; at < bytes.length;) {
    const length = Math.floor(random() * random() * 3 * PAGE);
    const end = Math.min(at + length, bytes.length, failAfter);
    yield bytes.slice(at, end);
    at = end;
    if (at >= failAfter) throw new Error("the line broke");
  }
}

type Chunking = Generator<Uint8Array<ArrayBuffer>>;

const KINDS: Record<string, (chunks: Chunking) => AsyncIterable<Uint8Array> | ReadableStream<Uint8Array>> = {
  "an async iterable": async function* (chunks) {
    yield* chunks;
  },
  "a web stream": (chunks) =>
    new ReadableStream<Uint8Array>(
      {
        pull(controller) {
          const { done, value } = chunks.next();
          if (done === true) controller.close();
          else controller.enqueue(value);
        },
      },
      { highWaterMark: 0 },
    ),
  ...(nodeStreams === null ? {} : { "a Node stream": nodeStreamOf(nodeStreams) }),
};

function nodeStreamOf({ Readable }: NodeStreams): (chunks: Chunking) => AsyncIterable<Uint8Array> {
  return (chunks) => Readable.from(chunks, { objectMode: true });
}

const SEED = Number(setting("SEED") ?? Math.floor(Math.random() * 2 ** 31));

for (const [kind, make] of Object.entries(KINDS)) {
  test(`${kind} fills an array wherever it is cut, and one that fails leaves whole elements (seed ${SEED})`, async (t) => {
    const random = randomFrom(SEED);
    const opened = await openMemory(t);
    const bytes = new Uint8Array(numbers(2000).buffer);
    for (let round = 0; round < 10; round++) {
      const array = opened.memory.createArray("f64", 2003);
      await array.write(make(cutAtRandom(bytes, random)), { start: 3 });
      assert.deepEqual(await array.read({ start: 3 }), numbers(2000));
      opened.check();

      await array.fill(-1);
      const failAfter = Math.floor(random() * bytes.length);
      const broken = array.write(make(cutAtRandom(bytes, random, failAfter)), { start: 3 });
      const later = array.read();
      await assert.rejects(broken, /the line broke/);
      const expected = new Float64Array(2003).fill(-1);
      expected.set(numbers(Math.floor(failAfter / 8)), 3);
      const read = await later;
      // A web stream or Node stream may fail before chunks that wait in it are read.
      const written = read.indexOf(-1, 3) - 3;
      assert.ok(written <= Math.floor(failAfter / 8));
      assert.deepEqual(read.subarray(0, 3 + written), expected.subarray(0, 3 + written));
      assert.ok(read.subarray(3 + written).every((element) => element === -1));
      opened.check();
      array.destroy();
    }
  });

  test(`${kind} that ends within an element, or does not fit, is refused with the lengths`, async (t) => {
    const opened = await openMemory(t);
    const array = opened.memory.createArray("f64", 10, { label: "ten" });
    const bytes = new Uint8Array(numbers(20).buffer);
    const part = (end: number): Chunking =>
      (function* () {
        yield bytes.slice(0, 8);
        yield bytes.slice(8, end);
      })();
    await assert.rejects(
      array.write(make(part(29)), { start: 1 }),
      memoryError("EINVAL", /source of array "ten" ended after 29 bytes, within an element: 5 of the 8 bytes of f64/),
    );
    assert.deepEqual([...(await array.read())], [0, 1, 2, 3, 0, 0, 0, 0, 0, 0]);
    await assert.rejects(
      array.write(make(part(80)), { start: 1 }),
      memoryError("EINVAL", /source of array "ten" goes beyond its 80 bytes: 80 came for byte 8 and on/),
    );
    assert.deepEqual([...(await array.read())], [0, 1, 2, 3, 0, 0, 0, 0, 0, 0]);
    opened.check();
  });
}

test("bytes of a buffer, a DataView, a Uint8Array and a blob fill an array of another type", async (t) => {
  const { memory } = await openMemory(t);
  const source = numbers(1500);
  for (const given of [
    source.buffer,
    new DataView(source.buffer),
    new Uint8Array(source.buffer),
    new Blob([source]),
    new File([source], "numbers"),
  ]) {
    const array = memory.createArray("f64", 1500);
    await array.write(given);
    assert.deepEqual(await array.read(), source);
    array.destroy();
  }
  const array = memory.createArray("f64", 10, { label: "ten" });
  for (const odd of [new ArrayBuffer(12), new Blob([new Uint8Array(12)])]) {
    await assert.rejects(
      array.write(odd),
      memoryError("EINVAL", /12 bytes for array "ten" are no whole number of elements: f64 has 8/),
    );
  }
  await assert.rejects(
    array.write(new Blob([source])),
    memoryError("EINVAL", /elements 0 to 1500 are not within the 10/),
  );
});

test("an aborted write cancels or destroys a source that gives nothing, in its turn and before", async (t) => {
  const { memory } = await openMemory(t);
  const array = memory.createArray("u8", 10);
  for (const waits of [false, true]) {
    const reasons: unknown[] = [];
    const web = new ReadableStream<Uint8Array>({ cancel: (reason) => void reasons.push(reason) });
    const node = nodeStreams === null ? null : new nodeStreams.Readable({ read() {} });
    for (const source of node === null ? [web] : [web, node]) {
      const controller = new AbortController();
      const first = new AbortController();
      const silent = array.write(new ReadableStream<Uint8Array>(), { signal: first.signal });
      if (!waits) first.abort();
      await Promise.race([silent.catch(() => {}), new Promise(setImmediate)]);
      const write = array.write(source, { signal: controller.signal });
      await new Promise(setImmediate);
      controller.abort("enough");
      await assert.rejects(write, (reason) => reason === "enough");
      first.abort();
      await silent.catch(() => {});
    }
    assert.deepEqual(reasons, ["enough"]);
    assert.equal(web.locked, false);
    assert.notEqual(node?.destroyed, false);
  }
  await array.fill(7);
  assert.deepEqual([...(await array.read())], Array<number>(10).fill(7));
});

test("a stream that is locked is refused, and one that was read to its end is not locked any more", async (t) => {
  const { memory } = await openMemory(t);
  const array = memory.createArray("u8", 3);
  const stream = new Blob([Uint8Array.of(1, 2, 3)]).stream();
  const reader = stream.getReader();
  await assert.rejects(array.write(stream), memoryError("EINVAL", /the stream is locked/));
  reader.releaseLock();
  await array.write(stream);
  assert.equal(stream.locked, false);
  assert.deepEqual([...(await array.read())], [1, 2, 3]);
});

async function filled(array: PagedArray<"f64">): Promise<Float64Array> {
  const source = numbers(array.length);
  await array.write(source);
  await array.prefetch("device");
  return source;
}

test("an array is streamed into a response, a pipe, a Node pipeline and another array", async (t) => {
  const opened = await openMemory(t);
  const array = opened.memory.createArray("f64", 3001);
  const source = await filled(array);
  const part = source.subarray(5, 2905);
  const range = { start: 5, length: 2900, chunkLength: 77 };
  assert.deepEqual(new Float64Array(await new Response(array.stream(range)).arrayBuffer()), part);
  const through = new TransformStream<Uint8Array, Uint8Array>();
  const [piped] = await Promise.all([
    new Response(through.readable).arrayBuffer(),
    array.stream(range).pipeTo(through.writable),
  ]);
  assert.deepEqual(new Float64Array(piped), part);
  if (nodeStreams !== null) {
    const written: Uint8Array[] = [];
    const sink = new nodeStreams.Writable({ write: (chunk: Uint8Array, _, done) => (written.push(chunk), done()) });
    await nodeStreams.promises.pipeline(array.stream(range), sink);
    assert.deepEqual(new Float64Array(joined(written).buffer), part);
  }
  const copy = opened.memory.createArray("f64", 2900);
  // Another memory would do; in the same one a write cannot wait for the reads of its source.
  await copy.write(await new Response(array.stream(range)).blob());
  assert.deepEqual(await copy.read(), part);
  opened.check();
});

test("a stream reads a chunk when it is asked for one, and none ahead", async (t) => {
  const { memory } = await openMemory(t);
  const array = memory.createArray("f64", 100);
  await filled(array);
  const reader = array.stream({ chunkLength: 40 }).getReader();
  assert.equal((await reader.read()).value?.byteLength, 320);
  await new Promise(setImmediate);
  await array.fill(9);
  const second = (await reader.read()).value;
  assert.ok(new Float64Array(second?.buffer ?? new ArrayBuffer(0)).every((element) => element === 9));
  assert.equal((await reader.read()).value?.byteLength, 160);
  assert.equal((await reader.read()).done, true);
});

test("a stream fails with the reason of its abort, or when its array is destroyed; cancelled it reads no more", async (t) => {
  const opened = await openMemory(t);
  const array = opened.memory.createArray("f64", 100);
  await filled(array);
  const controller = new AbortController();
  const aborted = array.stream({ chunkLength: 10, signal: controller.signal }).getReader();
  await aborted.read();
  controller.abort("enough");
  await assert.rejects(aborted.read(), (reason) => reason === "enough");
  const cancelled = array.stream({ chunkLength: 10 }).getReader();
  const pending = cancelled.read();
  await cancelled.cancel();
  assert.equal((await pending).done, true);
  assert.equal(await new Response(array.stream({ length: 0 })).text(), "");
  assert.throws(() => array.stream({ chunkLength: 0 }), memoryError("EINVAL", /at least 1, not 0/));
  assert.throws(() => array.stream({ start: 101 }), memoryError("EINVAL", /not within the 100/));
  const orphan = array.stream().getReader();
  array.destroy();
  await assert.rejects(orphan.read(), memoryError("EINVAL", /destroyed/));
  opened.check();
});
