/**
 * A process's page table in software: windows are bytes, and a thread of the process is whoever calls `load` and `store`, which
 * ask what the page allows, tell of a fault, and wait to be woken. Slow and plain; it runs everywhere, and forgives nothing.
 *
 * Invariants: every method is called only in the state that it is for. What has no bytes is poisoned: a frame whose page is owned, a
 * page of a window that is absent; so a use of either is seen.
 */

import { assert } from "../../mm/errors.js";
import type { ProcessPages, ProcessWindow } from "./process-pages.js";

const ABSENT = 0;
const SHOWN = 1;
const OWN = 2;
const GUARDED = 3;

const POISON = 0xa5;
/** Addresses of a window or a region begin at a multiple of it. */
const RANGE = 2 ** 36;

interface Range {
  readonly address: number;
  readonly bytes: Uint8Array;
  /** Of the pages of a window; null for frames. */
  readonly states: Uint8Array | null;
}

interface Waiting {
  readonly at: number;
  readonly wake: () => void;
}

/** A thread waits for an access at an address. */
export type OnFault = (address: number, write: boolean) => void;

export class SoftwarePages implements ProcessPages {
  readonly method = "software";
  readonly #pageSize: number;
  readonly #onFault: OnFault;
  readonly #ranges = new Map<number, Range>();
  #waiting: Waiting[] = [];

  constructor(pageSize: number, onFault: OnFault) {
    this.#pageSize = pageSize;
    this.#onFault = onFault;
  }

  /** The byte at an address of a window. */
  async load(at: number): Promise<number> {
    while (!this.#allows(at, false)) await this.#fault(at, false);
    const { address, bytes } = this.#rangeOf(at);
    return bytes[at - address];
  }

  async store(at: number, value: number): Promise<void> {
    while (!this.#allows(at, true)) await this.#fault(at, true);
    const { address, bytes } = this.#rangeOf(at);
    bytes[at - address] = value;
  }

  /** Accesses that wait. */
  get waiting(): number {
    return this.#waiting.length;
  }

  createWindow(bytes: number): ProcessWindow {
    const buffer = new SharedArrayBuffer(bytes);
    const view = new Uint8Array(buffer).fill(POISON);
    const { address } = this.#add(view, new Uint8Array(bytes / this.#pageSize));
    return { buffer, byteOffset: 0, bytes, address };
  }

  closeWindow({ address, bytes }: ProcessWindow): void {
    this.#change(address, bytes, [ABSENT], ABSENT);
    this.#rangeOf(address).states?.fill(OWN);
    this.wake(address, bytes);
  }

  addressOf(region: Uint8Array): number {
    return this.#add(region, null).address;
  }

  install(at: number, frame: number, bytes: number): void {
    this.#change(at, bytes, [ABSENT], OWN);
    this.#copy(at, frame, bytes);
    this.#bytes(frame, bytes).fill(POISON);
    this.wake(at, bytes);
  }

  show(at: number, frame: number, bytes: number): void {
    this.#change(at, bytes, [ABSENT], SHOWN);
    this.#copy(at, frame, bytes);
    this.wake(at, bytes);
  }

  adopt(at: number, frame: number, bytes: number): void {
    this.#change(at, bytes, [SHOWN], OWN);
    this.#bytes(frame, bytes).fill(POISON);
    this.wake(at, bytes);
  }

  guard(at: number, bytes: number): void {
    this.#change(at, bytes, [OWN], GUARDED);
  }

  unguard(at: number, bytes: number): void {
    this.#change(at, bytes, [GUARDED], OWN);
    this.wake(at, bytes);
  }

  takeBack(frame: number, at: number, bytes: number): void {
    this.#change(at, bytes, [OWN, GUARDED], ABSENT);
    const taken = this.#bytes(frame, bytes);
    assert(
      taken.every((byte) => byte === POISON),
      `frame ${frame} was used while its page was owned by a window`,
    );
    this.#copy(frame, at, bytes);
    this.#bytes(at, bytes).fill(POISON);
    this.wake(at, bytes);
  }

  drop(at: number, bytes: number): void {
    this.#change(at, bytes, [SHOWN], ABSENT);
    this.#bytes(at, bytes).fill(POISON);
    this.wake(at, bytes);
  }

  wake(at: number, bytes: number): void {
    const woken = this.#waiting.filter((waiting) => waiting.at >= at && waiting.at < at + bytes);
    this.#waiting = this.#waiting.filter((waiting) => !woken.includes(waiting));
    for (const { wake } of woken) wake();
  }

  release(frame: number, bytes: number): void {
    this.#bytes(frame, bytes).fill(0);
  }

  #allows(at: number, write: boolean): boolean {
    const { address, states } = this.#rangeOf(at);
    const state = states?.[Math.floor((at - address) / this.#pageSize)] ?? ABSENT;
    return write ? state === OWN : state !== ABSENT;
  }

  #fault(at: number, write: boolean): Promise<void> {
    return new Promise((wake) => {
      this.#waiting.push({ at, wake });
      this.#onFault(at, write);
    });
  }

  #change(at: number, bytes: number, from: readonly number[], to: number): void {
    const { address, states } = this.#rangeOf(at);
    assert(states !== null && bytes % this.#pageSize === 0, `${bytes} bytes at ${at} are no pages of a window`);
    const first = (at - address) / this.#pageSize;
    for (let page = first; page < first + bytes / this.#pageSize; page++) {
      assert(from.includes(states[page]), `page ${page} of a window is ${states[page]}, not ${from.join(" or ")}`);
      states[page] = to;
    }
  }

  #copy(to: number, from: number, bytes: number): void {
    this.#bytes(to, bytes).set(this.#bytes(from, bytes));
  }

  #bytes(at: number, length: number): Uint8Array {
    const { address, bytes } = this.#rangeOf(at);
    return bytes.subarray(at - address, at - address + length);
  }

  #rangeOf(at: number): Range {
    const range = this.#ranges.get(Math.floor(at / RANGE));
    assert(range !== undefined, `nothing is at address ${at}`);
    return range;
  }

  #add(bytes: Uint8Array, states: Uint8Array | null): Range {
    const number = this.#ranges.size + 1;
    const range = { address: number * RANGE, bytes, states };
    this.#ranges.set(number, range);
    return range;
  }
}
