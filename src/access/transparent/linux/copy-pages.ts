/**
 * Windows by UFFDIO_COPY and write protection (Linux 5.7): a page is copied to the window, and back.
 *
 * Invariant: what is copied back cannot be stored to. Stores are forbidden first; whoever was about to is asleep, and finds the page gone.
 */

import type { ProcessWindow } from "../process-pages.js";
import { LinuxPages } from "./linux-pages.js";
import { MODE_MISSING, MODE_WRITE_PROTECT } from "./userfaultfd.js";

export class CopyPages extends LinuxPages {
  readonly method: string = "copy";

  install(at: number, frame: number, bytes: number): void {
    this.watch.copy(at, frame, bytes, false);
    this.release(frame, bytes);
  }

  show(at: number, frame: number, bytes: number): void {
    this.watch.copy(at, frame, bytes, true);
  }

  takeBack(frame: number, at: number, bytes: number): void {
    this.guard(at, bytes);
    this.system.memcpy(frame, at, bytes);
    this.empty(at, bytes);
    this.wake(at, bytes);
  }

  drop(at: number, bytes: number): void {
    this.empty(at, bytes);
    this.wake(at, bytes);
  }

  protected openWindow({ address, bytes }: ProcessWindow): void {
    this.watch.register(address, bytes, MODE_MISSING | MODE_WRITE_PROTECT);
  }
}
