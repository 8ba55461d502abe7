/**
 * Pages between memory and what lies behind it, under a simulated environment: each transfer waits for a task, so that
 * anything may run while it is under way, and may fail by the failure plan. The bytes move before the wait or after it.
 */

import { MemoryError } from "../../src/mm/errors.js";
import type { SimulatedEnvironment } from "./simulated-environment.js";

export type TransferSite = "swap-write" | "swap-read" | "file-read";

export interface PageTransfer {
  readonly site: TransferSite;
  /** The swap slot, or the page of the file. */
  readonly index: number;
  /** The page in memory, which stays locked until the transfer ends. */
  readonly bytes: Uint8Array;
}

export class SimulatedTransfers {
  readonly environment: SimulatedEnvironment;
  /** Transfers that were begun and have not ended. */
  readonly underWay = new Set<PageTransfer>();
  readonly done: Record<TransferSite, number> = { "swap-write": 0, "swap-read": 0, "file-read": 0 };
  readonly #isEarly: boolean;

  constructor(environment: SimulatedEnvironment, isEarly: boolean) {
    this.environment = environment;
    this.#isEarly = isEarly;
  }

  /** Rejects with EIO, after the wait, when the plan says so; `move` has not run then. */
  async transfer(transfer: PageTransfer, move: () => void): Promise<void> {
    const { site, index } = transfer;
    this.underWay.add(transfer);
    const fails = this.environment.failures.fails(site);
    if (this.#isEarly && !fails) move();
    await this.environment.sleep(1);
    if (!this.#isEarly && !fails) move();
    this.underWay.delete(transfer);
    if (fails) throw new MemoryError("EIO", `the ${site} of ${index} failed`);
    this.done[site]++;
  }
}
