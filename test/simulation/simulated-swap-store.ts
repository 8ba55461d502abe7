/** A swap store of a few slots whose writes and reads take their time and may fail. It knows which slots hold a page. */

import assert from "node:assert/strict";
import type { SwapStore } from "../../src/mm/swap/swap.js";
import type { SimulatedTransfers } from "./simulated-transfer.js";

export class SimulatedSwapStore implements SwapStore {
  readonly slots: number;
  readonly pages = new Map<number, Uint8Array>();
  readonly #transfers: SimulatedTransfers;

  constructor(slots: number, transfers: SimulatedTransfers) {
    this.slots = slots;
    this.#transfers = transfers;
  }

  write(slot: number, bytes: Uint8Array): Promise<void> {
    // What the slot held is lost, also when the write fails.
    this.pages.delete(slot);
    return this.#transfers.transfer({ site: "swap-write", index: slot, bytes }, () => {
      this.pages.set(slot, bytes.slice());
    });
  }

  read(slot: number, into: Uint8Array): Promise<void> {
    assert.ok(this.pages.has(slot), `slot ${slot} is read and holds no page`);
    return this.#transfers.transfer({ site: "swap-read", index: slot, bytes: into }, () => {
      const bytes = this.pages.get(slot);
      assert.ok(bytes !== undefined, `slot ${slot} was freed while it was read`);
      into.set(bytes);
    });
  }

  discard(slot: number): void {
    this.pages.delete(slot);
  }
}
