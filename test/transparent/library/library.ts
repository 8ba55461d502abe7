/**
 * A thread that knows typed arrays and packages, and nothing of this project: it orders, packs and hashes what it was given, while
 * somebody else works on the same memory.
 */

import { createRequire } from "node:module";
import { parentPort, workerData } from "node:worker_threads";

interface Quickselect {
  /** Moves the `k` smallest in front of all others. */
  default(array: Float64Array, k: number): void;
}
interface Fflate {
  zlibSync(bytes: Uint8Array): Uint8Array;
  unzlibSync(bytes: Uint8Array, options: { out: Uint8Array }): Uint8Array;
}
interface Noble {
  sha256(bytes: Uint8Array): Uint8Array;
}

const ROUNDS = 10;

const { packages, numbers, text, unpacked } = workerData as {
  readonly packages: string;
  /** To be ordered: the smaller half first. */
  readonly numbers: Float64Array;
  /** To be hashed and packed, and where to unpack it to. */
  readonly text: Uint8Array;
  readonly unpacked: Uint8Array;
};
const require = createRequire(packages);
const fflate = require("fflate") as Fflate;
const quickselect = (await import(require.resolve("quickselect"))) as Quickselect;
const noble = (await import(require.resolve("@noble/hashes/sha2.js"))) as Noble;

for (let round = 0; round < ROUNDS; round++) {
  numbers.reverse();
  quickselect.default(numbers, numbers.length >> 1);
  const hash = noble.sha256(text);
  const packed = fflate.zlibSync(text);
  fflate.unzlibSync(packed, { out: unpacked });
  if (round === ROUNDS - 1) parentPort?.postMessage({ hash, packed });
}
