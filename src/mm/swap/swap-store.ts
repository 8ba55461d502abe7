/** Swap in memory, for machines whose pages are worth more room than their swap: tests, and replays of recorded runs. */

import { assert } from "../errors.js";
import type { SwapStore } from "./swap.js";

export class MemorySwapStore implements SwapStore {
  readonly slots: number;
  readonly #pages = new Map<number, Uint8Array>();

  constructor(slots: number) {
    this.slots = slots;
  }

  write(slot: number, bytes: Uint8Array): Promise<void> {
    this.#pages.set(slot, bytes.slice());
    return Promise.resolve();
  }

  read(slot: number, into: Uint8Array): Promise<void> {
    const bytes = this.#pages.get(slot);
    assert(bytes !== undefined, `swap slot ${slot} is read and was never written`);
    into.set(bytes);
    return Promise.resolve();
  }

  discard(slot: number): void {
    this.#pages.delete(slot);
  }
}
