/**
 * Windows by UFFDIO_MOVE (Linux 6.8): the memory of a page changes its address, from the frame's to the window's and back. No byte is
 * copied, and there is no moment in which a store could be missed: a page that has moved away is not there.
 *
 * Invariant: the memory of an owned page is at the window's address, and its frame has none.
 */

import type { ProcessWindow } from "../process-pages.js";
import { LinuxPages } from "./linux-pages.js";
import { adviseHuge } from "./huge-pages.js";
import { MODE_MISSING, MODE_WRITE_PROTECT, type Userfaultfd } from "./userfaultfd.js";

const MADV_POPULATE_WRITE = 23;

export class MovePages extends LinuxPages {
  readonly method = "move";
  readonly #pageSize: number;

  constructor(watch: Userfaultfd, pageSize: number) {
    super(watch);
    this.#pageSize = pageSize;
  }

  install(at: number, frame: number, bytes: number): void {
    // A frame may have parts that nobody has touched yet.
    for (let done = 0; (done += this.watch.move(at + done, frame + done, bytes - done)) < bytes;)
      this.advise(frame + done, bytes - done, MADV_POPULATE_WRITE, "MADV_POPULATE_WRITE");
  }

  show(at: number, frame: number, bytes: number): void {
    this.watch.copy(at, frame, bytes, true);
  }

  takeBack(frame: number, at: number, bytes: number): void {
    this.watch.move(frame, at, bytes);
  }

  drop(at: number, bytes: number): void {
    this.empty(at, bytes);
    this.wake(at, bytes);
  }

  /** A fault of a range that may have huge pages leaves no table where one is to come. */
  protected openWindow({ address, bytes }: ProcessWindow): void {
    adviseHuge(this.system, address, bytes, this.#pageSize);
    this.watch.register(address, bytes, MODE_MISSING | MODE_WRITE_PROTECT);
  }

  /** What is moved has to come to a range of the same descriptor. */
  protected override openRegion(address: number, bytes: number): void {
    super.openRegion(address, bytes);
    this.watch.register(address, bytes, MODE_WRITE_PROTECT);
  }
}
