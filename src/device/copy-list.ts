/**
 * Copies of one batch between host and device frames, joined into runs where both sides are contiguous, so that a driver
 * makes few large transfers. Used again batch after batch.
 */

import { BLOCK_FRAMES } from "../mm/frames/zone.js";

/** Runs of pages to copy: `count[i]` contiguous pages between host frame `host[i]` and device frame `device[i]`. */
export class CopyList {
  /** First host frame of each run; unused in a list of clears. */
  readonly host: Int32Array;
  /** First device frame of each run, counted from the first frame of the device. */
  readonly device: Int32Array;
  /** Frames of each run. */
  readonly count: Int32Array;
  /** Runs in use. */
  length = 0;
  /** Frames of all runs. */
  pages = 0;

  constructor(capacity: number) {
    this.host = new Int32Array(capacity);
    this.device = new Int32Array(capacity);
    this.count = new Int32Array(capacity);
  }

  clear(): void {
    this.length = 0;
    this.pages = 0;
  }

  /** Adds the copy between a host frame and a device frame. */
  push(host: number, device: number): void {
    this.pages++;
    const last = this.length - 1;
    if (last >= 0) {
      const run = this.count[last];
      // A region of host memory begins at a block: one run never spans two.
      const sameBlock = (host & (BLOCK_FRAMES - 1)) !== 0;
      if (sameBlock && this.host[last] + run === host && this.device[last] + run === device) {
        this.count[last] = run + 1;
        return;
      }
    }
    this.host[this.length] = host;
    this.device[this.length] = device;
    this.count[this.length] = 1;
    this.length++;
  }

  /** Adds a device frame that is to be cleared. */
  pushClear(device: number): void {
    this.pages++;
    const last = this.length - 1;
    if (last >= 0 && this.device[last] + this.count[last] === device) {
      this.count[last]++;
      return;
    }
    this.device[this.length] = device;
    this.count[this.length] = 1;
    this.length++;
  }
}
