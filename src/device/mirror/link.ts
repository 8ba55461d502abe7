/**
 * The link between the host and the software device: instantaneous by default; with a bandwidth, a latency or injected
 * faults it is what a test or a demonstration wants it to be. Time is the environment's, so a simulation decides it.
 */

import type { Environment } from "../../mm/environment.js";
import { MemoryError } from "../../mm/errors.js";
import type { LinkDirection, LinkOptions } from "./link-options.js";

export class Link {
  readonly #bandwidth: number;
  readonly #latency: number;
  readonly #fails: (direction: LinkDirection, pages: number) => boolean;

  constructor(options: LinkOptions) {
    const { bandwidth = Infinity, latency = 0, fails = () => false } = options;
    this.#bandwidth = bandwidth;
    this.#latency = latency;
    this.#fails = fails;
  }

  get instantaneous(): boolean {
    return this.#latency === 0 && this.#bandwidth === Infinity;
  }

  /** Resolves when `bytes` would have arrived; undefined when that is at once. */
  transfer(bytes: number, environment: Environment): Promise<void> | undefined {
    if (this.instantaneous) return undefined;
    return environment.sleep(this.#latency + (bytes / this.#bandwidth) * 1000);
  }

  /** Does this transfer fail? */
  breaks(direction: LinkDirection, pages: number): boolean {
    return this.#fails(direction, pages);
  }
}

export function linkError(direction: LinkDirection, pages: number): MemoryError {
  return new MemoryError("EIO", `${direction} of ${pages} pages failed on the link`);
}
