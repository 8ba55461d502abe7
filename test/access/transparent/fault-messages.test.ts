/** The reading of faults, over a descriptor in software: what is told of, when more is waited for, and when the event loop has its turn. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { FaultMessages } from "../../../src/access/transparent/linux/fault-messages.js";
import type { Userfaultfd } from "../../../src/access/transparent/linux/userfaultfd.js";
import { createWatchWords, READ } from "../../../src/access/transparent/linux/watch-words.js";

const DESCRIPTOR = 7;
const MESSAGE_BYTES = 32;
const PAGE_FAULT = 0x12;
const WRITE = 1;
const POLLIN = 1;

interface Fault {
  readonly address: number;
  readonly write: boolean;
}

/** A descriptor whose faults are given, and who reads them. */
class Reading {
  readonly waiting: Fault[] = [];
  readonly answered: Fault[] = [];
  readonly words = createWatchWords();
  readonly messages: FaultMessages;
  waits = 0;
  isIdle = true;
  /** What one more thread misses as soon as one is answered. */
  next: Fault[] = [];
  tell = (): void => {};

  constructor() {
    const system = {
      read: (descriptor: number, into: Uint32Array, length: number): number => {
        assert.equal(descriptor, DESCRIPTOR);
        const faults = this.waiting.splice(0, length / MESSAGE_BYTES);
        for (const [i, { address, write }] of faults.entries()) {
          into.fill(0, i * 8, i * 8 + 8);
          into[i * 8] = PAGE_FAULT;
          into[i * 8 + 2] = write ? WRITE : 0;
          into[i * 8 + 4] = address;
          into[i * 8 + 5] = address / 2 ** 32;
        }
        return faults.length === 0 ? -1 : faults.length * MESSAGE_BYTES;
      },
      ppoll: (descriptors: Int32Array, count: number, timeout: Int32Array): number => {
        assert.deepEqual([...descriptors, count], [DESCRIPTOR, POLLIN, 1]);
        assert.ok(timeout[2] > 0 && timeout[2] < 1e6 && timeout[0] === 0, "it would wait for long");
        this.waits++;
        return this.waiting.length > 0 ? 1 : 0;
      },
      koffi: {
        node: {
          poll: (_descriptor: number, _options: object, callback: () => void) => {
            this.tell = callback;
            return { close: () => {}, ref: () => {}, unref: () => {} };
          },
        },
      },
    };
    const server = {
      answer: (address: number, write: boolean): void => {
        this.answered.push({ address, write });
        this.waiting.push(...this.next.splice(0, 1));
      },
    };
    const isIdle = (): boolean => this.isIdle;
    this.messages = new FaultMessages(
      { descriptor: DESCRIPTOR, system } as unknown as Userfaultfd,
      this.words,
      Object.defineProperty(server, "isIdle", { get: isIdle }) as typeof server & { readonly isIdle: boolean },
      (error) => {
        throw error;
      },
    );
  }

  /** The event loop says that there is something to read, once. */
  async turn(): Promise<void> {
    this.tell();
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
}

const faults = (count: number): Fault[] =>
  Array.from({ length: count }, (_, i) => ({ address: 2 ** 40 + i * 4096, write: i % 2 === 1 }));

test("faults are answered in order, with their address and what they are for, and counted", async () => {
  const reading = new Reading();
  reading.waiting.push(...faults(5));
  await reading.turn();
  assert.deepEqual(reading.answered, faults(5));
  assert.equal(reading.words[READ], 5);
  await reading.messages.close();
});

test("a fault right after another's answer is answered in the same turn of the event loop", async () => {
  const reading = new Reading();
  const [first, ...next] = faults(10);
  reading.waiting.push(first);
  reading.next = next;
  await reading.turn();
  assert.deepEqual(reading.answered, faults(10));
  assert.equal(reading.waits, 10, "it waits after each, the last time for nothing");
  await reading.messages.close();
});

test("where something is under way that needs the event loop, nothing is waited for", async () => {
  const reading = new Reading();
  const [first, ...next] = faults(3);
  reading.waiting.push(first);
  reading.next = next;
  reading.isIdle = false;
  for (let turn = 1; turn <= 3; turn++) {
    await reading.turn();
    assert.equal(reading.answered.length, turn);
  }
  assert.equal(reading.waits, 0);
  await reading.messages.close();
});

test("faults without an end leave the event loop its turns", async () => {
  const reading = new Reading();
  const [first, ...next] = faults(1000);
  reading.waiting.push(first);
  reading.next = next;
  let before = 0;
  while (reading.answered.length < 1000) {
    await reading.turn();
    const inOne = reading.answered.length - before;
    assert.ok(inOne > 1 && inOne <= 32, `${inOne} in one turn`);
    before = reading.answered.length;
  }
  assert.deepEqual(reading.answered, faults(1000));
  await reading.messages.close();
});

test("nothing is read any more once it is closed, also not what was told of before", async () => {
  const reading = new Reading();
  reading.waiting.push(...faults(1));
  reading.tell();
  await reading.messages.close();
  assert.deepEqual(reading.answered, []);
});
