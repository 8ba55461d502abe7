/**
 * Windows over a file in memory, by MINOR faults (Linux 5.13, its write protection 6.4): the pager writes the file through a mapping of
 * its own, the *alias*, and then lets the window see the page.
 *
 * Invariants: the file has a page exactly while the window's is shown, owned or guarded; the alias is read only while the window does not map it.
 */

import { assert } from "../../../mm/errors.js";
import type { ProcessWindow } from "../process-pages.js";
import { LinuxPages } from "./linux-pages.js";
import { MODE_MINOR, MODE_MISSING, MODE_WRITE_PROTECT } from "./userfaultfd.js";

const MFD_CLOEXEC = 1;
const PROT_READ_WRITE = 3;
const MAP_SHARED = 1;
const MAP_FIXED = 0x10;
const MADV_REMOVE = 9;
const MADV_DONTFORK = 10;

interface Alias {
  readonly window: ProcessWindow;
  readonly address: number;
}

export class MinorPages extends LinuxPages {
  readonly method = "minor";
  readonly #aliases: Alias[] = [];

  install(at: number, frame: number, bytes: number): void {
    this.system.memcpy(this.#aliasOf(at), frame, bytes);
    this.watch.continue(at, bytes, false);
    this.release(frame, bytes);
  }

  show(at: number, frame: number, bytes: number): void {
    this.system.memcpy(this.#aliasOf(at), frame, bytes);
    this.watch.continue(at, bytes, true);
  }

  takeBack(frame: number, at: number, bytes: number): void {
    const alias = this.#aliasOf(at);
    this.empty(at, bytes);
    this.system.memcpy(frame, alias, bytes);
    this.advise(alias, bytes, MADV_REMOVE, "MADV_REMOVE");
    this.wake(at, bytes);
  }

  drop(at: number, bytes: number): void {
    this.empty(at, bytes);
    this.advise(this.#aliasOf(at), bytes, MADV_REMOVE, "MADV_REMOVE");
    this.wake(at, bytes);
  }

  override closeWindow(window: ProcessWindow): void {
    super.closeWindow(window);
    const index = this.#aliases.findIndex((alias) => alias.window === window);
    const [{ address }] = this.#aliases.splice(index, 1);
    this.advise(address, window.bytes, MADV_REMOVE, "MADV_REMOVE");
    this.system.must("munmap", this.system.munmap(address, window.bytes));
  }

  protected openWindow(window: ProcessWindow): void {
    const { system } = this;
    const { address, bytes } = window;
    const file = system.must("memfd_create", system.memfdCreate("pageferry", MFD_CLOEXEC));
    system.must("ftruncate", system.ftruncate(file, bytes));
    system.must("mmap", system.mmap(address, bytes, PROT_READ_WRITE, MAP_SHARED | MAP_FIXED, file, 0));
    this.#aliases.push({
      window,
      address: system.must("mmap", system.mmap(0, bytes, PROT_READ_WRITE, MAP_SHARED, file, 0)),
    });
    system.close(file);
    this.advise(address, bytes, MADV_DONTFORK, "MADV_DONTFORK");
    this.watch.register(address, bytes, MODE_MISSING | MODE_MINOR | MODE_WRITE_PROTECT);
  }

  #aliasOf(at: number): number {
    for (const { window, address } of this.#aliases) {
      const offset = at - window.address;
      if (offset >= 0 && offset < window.bytes) return address + offset;
    }
    assert(false, `${at} is in no window`);
  }
}
