/**
 * Packages of other people work on arrays in one thread, while a kernel works on the same pages: no call of ours is between. Prints
 * how many faults there were.
 */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { inflateSync } from "node:zlib";
import { createUnifiedMemory } from "../../../src/index.js";
import { seededRandom } from "../../environments.js";
import { repository } from "../../packaging/sample-project.js";
import { print } from "../print.js";
import { ELEMENTS } from "./kernel.js";

const PAGES = 16;

const memory = await createUnifiedMemory({
  cpuAccess: "transparent",
  device: { export: "mirrorDevice", options: { budget: 2 ** 22 } },
});
const random = seededRandom(7);
const array = memory.createArray("f64", PAGES * ELEMENTS);
const all = await array.view();
for (let i = 0; i < all.length; i++) all[i] = (i + 1) % ELEMENTS === 0 ? 0 : Math.floor(random() * 1e6);
// One run of numbers, on pages of which the kernel uses the last element.
const numbers = all.subarray(0, ELEMENTS - 1);
const text = new Uint8Array(all.buffer, all.byteOffset + ELEMENTS * 8, (ELEMENTS - 1) * 8);
const unpacked = new Uint8Array(all.buffer, all.byteOffset + 2 * ELEMENTS * 8, text.byteLength);
const sorted = Float64Array.from(numbers).sort();
const wanted = Uint8Array.from(text);

const kernel = await memory.createKernel({
  host: { module: new URL("./kernel.js", import.meta.url), export: "count" },
  footprint: { numbers: { each: ELEMENTS } },
});
const dispatch = () => kernel.dispatch({ invocations: PAGES, arrays: { numbers: array } });
await dispatch();

const { majorPageFault: before } = process.resourceUsage();
const packages = join(repository, "test/transparent/package.json");
const worker = new Worker(new URL("./library.js", import.meta.url), {
  workerData: { packages, numbers, text, unpacked },
});
let done: { readonly hash: Uint8Array; readonly packed: Uint8Array } | null = null;
const message = once(worker, "message").then(([result]) => (done = result as NonNullable<typeof done>));
let dispatches = 1;
for (; done === null; dispatches++) await dispatch();
const { hash, packed } = await message;
const { majorPageFault: after } = process.resourceUsage();

const half = numbers.length >> 1;
assert.deepEqual(Float64Array.from(numbers.subarray(0, half)).sort(), sorted.subarray(0, half));
assert.equal(numbers[half], sorted[half]);
assert.deepEqual(Float64Array.from(numbers).sort(), sorted);
assert.equal(Buffer.from(hash).toString("hex"), createHash("sha256").update(wanted).digest("hex"));
assert.ok(inflateSync(packed).equals(wanted));
assert.deepEqual(Uint8Array.from(unpacked), wanted);
for (let page = 1; page <= PAGES; page++) assert.equal(all[page * ELEMENTS - 1], dispatches);
const { faults = 0 } = (await memory.readStats()).views ?? {};
await memory.destroy();
print(JSON.stringify({ faults: after - before, dispatches, answered: faults }));
