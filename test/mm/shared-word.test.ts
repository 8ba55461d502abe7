/** Words that threads may share: the same answers while one thread has them to itself and, with atomics, between threads. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Worker } from "node:worker_threads";
import {
  addToWord,
  compareExchangeWord,
  exchangeWord,
  loadWord,
  setBitsOfWord,
  shareWords,
  storeWord,
} from "../../src/mm/shared-word.js";

function everyOperation(words: Int32Array): number[] {
  storeWord(words, 1, -7);
  return [
    loadWord(words, 1),
    exchangeWord(words, 1, 5),
    compareExchangeWord(words, 1, 6, 9),
    loadWord(words, 1),
    compareExchangeWord(words, 1, 5, 0x7fffffff),
    addToWord(words, 1, 1),
    loadWord(words, 1),
    (setBitsOfWord(words, 1, 0b110), loadWord(words, 1)),
    loadWord(words, 0),
    loadWord(words, 2),
  ];
}

const ANSWERS = [-7, -7, 5, 5, 5, 0x7fffffff, -0x80000000, -0x80000000 + 0b110, 0, 0];

// In this order: there is no way back from sharing.
describe("a word", () => {
  test("of one thread is read and changed as a 32-bit integer", () => {
    assert.deepEqual(everyOperation(new Int32Array(3)), ANSWERS);
  });

  test("between threads gives the same answers", () => {
    shareWords();
    assert.deepEqual(everyOperation(new Int32Array(new SharedArrayBuffer(12))), ANSWERS);
  });

  test("between threads loses no addition that both make at once", async () => {
    const additions = 200_000;
    const words = new Int32Array(new SharedArrayBuffer(8));
    const other = new Worker(
      `const { words, additions } = require("node:worker_threads").workerData;
       Atomics.store(words, 1, 1);
       for (let i = 0; i < additions; i++) Atomics.add(words, 0, 1);`,
      { eval: true, workerData: { words, additions } },
    );
    const ended = new Promise((resolve) => other.once("exit", resolve));
    while (loadWord(words, 1) === 0) await new Promise((resolve) => setImmediate(resolve));
    for (let i = 0; i < additions; i++) addToWord(words, 0, 1);
    assert.equal(await ended, 0);
    assert.equal(loadWord(words, 0), 2 * additions);
  });
});
