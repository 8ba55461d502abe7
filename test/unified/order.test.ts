// Operations take effect in the order of the calls, awaited or not.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { HostKernel } from "../../src/device/driver.js";
import type { Footprint } from "../../src/unified/footprint.js";
import { PAGE } from "../builders.js";
import { openMemory } from "./opened-memory.js";
import { between, withSeeds } from "./random-operands.js";
import { bytesOf } from "../bytes.js";

const addUniform: HostKernel = {
  writes: ["x"],
  run({ first, count, arrays, base, uniforms }) {
    for (let i = first; i < first + count; i++) arrays["x"][i - base["x"]] += uniforms["addend"];
  },
};
const eachByte: Record<string, Footprint> = { x: { each: 1 } };

test("calls made at once, on several arrays, take effect one after another", async (t) => {
  await withSeeds(t, 25, async (random) => {
    const opened = await openMemory(t, { devicePages: 5, link: { latency: random() < 0.5 ? 1 : 0 } });
    const { memory } = opened;
    const kernel = await memory.createKernel({ host: addUniform, footprint: eachByte });
    const lengths = [3 * PAGE + 5, 6 * PAGE, 100];
    const arrays = lengths.map((length) => memory.createArray("u8", length));
    const shadows = lengths.map((length) => new Uint8Array(length));
    const reads: [what: string, actual: Promise<Uint8Array>, expected: Uint8Array][] = [];
    const done: Promise<unknown>[] = [];
    for (let step = 0; step < 40; step++) {
      const which = between(random, 0, 2);
      const array = arrays[which] ?? assert.fail();
      const shadow = shadows[which] ?? assert.fail();
      const start = between(random, 0, array.length - 1);
      const length = between(random, 1, array.length - start);
      const value = between(random, 1, 9);
      const kind = random();
      if (kind < 0.25) {
        done.push(kernel.dispatch({ invocations: length, arrays: { x: array }, uniforms: { addend: value } }));
        for (let i = 0; i < length; i++) shadow[i] = (shadow[i] ?? 0) + value;
      } else if (kind < 0.45) {
        done.push(array.write(new Uint8Array(length).fill(value), { start }));
        shadow.fill(value, start, start + length);
      } else if (kind < 0.6) {
        done.push(array.fill(value, { start, length }));
        shadow.fill(value, start, start + length);
      } else if (kind < 0.7) done.push(array.prefetch(random() < 0.5 ? "device" : "host", { start, length }));
      else reads.push([`read ${step}`, array.read({ start, length }), shadow.slice(start, start + length)]);
    }
    const outcomes = await Promise.allSettled(done);
    for (const outcome of outcomes) if (outcome.status === "rejected") throw outcome.reason;
    for (const [what, actual, expected] of reads) assert.deepEqual(bytesOf(await actual), bytesOf(expected), what);
    for (const [i, array] of arrays.entries()) assert.deepEqual(await array.read(), shadows[i]);
    opened.check();
  });
});

test("a stream of writes keeps its place in the order, however slowly it comes", async (t) => {
  const { memory } = await openMemory(t);
  const x = memory.createArray("u8", 2 * PAGE);
  async function* slow(): AsyncGenerator<Uint8Array> {
    for (let i = 0; i < 4; i++) {
      await new Promise((resolve) => setImmediate(resolve));
      yield new Uint8Array(PAGE / 2).fill(i + 1);
    }
  }
  const kernel = await memory.createKernel({ host: addUniform, footprint: eachByte });
  void x.fill(100);
  void x.write(slow());
  const before = x.read({ length: 1 });
  void kernel.dispatch({ invocations: x.length, arrays: { x }, uniforms: { addend: 10 } });
  const after = await x.read();
  assert.equal((await before)[0], 1);
  assert.deepEqual([after[0], after[PAGE / 2], after[PAGE], after[2 * PAGE - 1]], [11, 12, 13, 14]);
});

test("an array may be used at once by operations that were called before it is there, and after it is destroyed", async (t) => {
  const opened = await openMemory(t);
  const { memory } = opened;
  const x = memory.createArray("u8", 100);
  const reading = x.read();
  const y = memory.createArray("u8", 100);
  const filling = y.fill(5);
  const read = y.read();
  y.destroy();
  const z = memory.createArray("u8", 100);
  assert.ok((await z.read()).every((byte) => byte === 0));
  await filling;
  assert.ok((await read).every((byte) => byte === 5));
  assert.ok((await reading).every((byte) => byte === 0));
  opened.check();
});
