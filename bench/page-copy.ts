/**
 * What the protocol's overhead is held against: memcpy, over a working set far larger than any cache, in pieces as large
 * as a batch, which is the quickest that JavaScript can do.
 */

import { processorTime } from "./clock.js";
import { expect } from "./scenario.js";

const PIECE = 512 * 4096;

export class PageCopy {
  readonly #source: Uint8Array;
  readonly #target: Uint8Array;
  readonly #bytes: number;

  constructor(bytes: number) {
    this.#bytes = Math.max(PIECE, bytes - (bytes % PIECE));
    this.#source = new Uint8Array(this.#bytes).fill(1);
    this.#target = new Uint8Array(this.#bytes).fill(2);
  }

  /** Copies the whole once; nanoseconds a page of 4 KiB. */
  nanosecondsAPage(): number {
    const began = processorTime();
    for (let at = 0; at < this.#bytes; at += PIECE) this.#target.set(this.#source.subarray(at, at + PIECE), at);
    const nanoseconds = (processorTime() - began) * 1e6;
    expect(this.#target[this.#bytes - 1] === 1, "memcpy did not copy");
    return nanoseconds / (this.#bytes / 4096);
  }
}
