/** A file whose pages are each filled with one value; reads take their time and may fail. */

import type { FileBacking } from "../../src/mm/file/page-cache.js";
import type { SimulatedTransfers } from "./simulated-transfer.js";

export class SimulatedFile implements FileBacking {
  /** By page. */
  readonly values: readonly number[];
  readonly #transfers: SimulatedTransfers;

  constructor(values: readonly number[], transfers: SimulatedTransfers) {
    this.values = values;
    this.#transfers = transfers;
  }

  read(index: number, into: Uint8Array): Promise<void> {
    return this.#transfers.transfer({ site: "file-read", index, bytes: into }, () => {
      new Uint32Array(into.buffer, into.byteOffset, into.byteLength / 4).fill(this.values[index]);
    });
  }
}
