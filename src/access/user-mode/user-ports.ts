/**
 * The threads in user mode of a machine, as the pager sees them: a port for each, and the words that all have in common.
 */

import type { AddressSpace } from "../../mm/space/address-space.js";
import { MemoryError } from "../../mm/errors.js";
import { allocateWords } from "../../mm/shared-memory.js";
import { ALIVE, CONTROL_WORDS, PAGER_WAITS } from "./port-words.js";
import { type HeldRun, UserPort } from "./user-port.js";

/** All threads in user mode of a shared machine. */
export class UserPorts {
  readonly #mm: AddressSpace;
  readonly #control: Int32Array<SharedArrayBuffer>;
  readonly #ports = new Set<UserPort>();

  /** Throws EINVAL when the machine is not shared. */
  constructor(mm: AddressSpace) {
    if (!mm.machine.shared) throw new MemoryError("EINVAL", "other threads reach the pages of a shared machine only");
    this.#mm = mm;
    this.#control = allocateWords(CONTROL_WORDS, true) as Int32Array<SharedArrayBuffer>;
    Atomics.store(this.#control, ALIVE, 1);
  }

  /** A port for one more thread. */
  open(name: string): UserPort {
    const port = new UserPort(this.#mm, this.#control, name, () => this.#ports.delete(port));
    this.#ports.add(port);
    return port;
  }

  [Symbol.iterator](): Iterator<UserPort> {
    return this.#ports.values();
  }

  /** The first run that a thread holds of pages `[start, end)`; a transient one counts only if it is asked for. */
  holder(start: number, end: number, transient: boolean): { readonly port: UserPort; readonly run: HeldRun } | null {
    for (const port of this.#ports) {
      for (const run of port.runs()) {
        if (run.page < end && start < run.page + run.pages && (transient || !run.transient)) return { port, run };
      }
    }
    return null;
  }

  /** Until the returned function is called, no thread takes pins that do not last: those there are will soon be gone. */
  holdOff(): () => void {
    Atomics.add(this.#control, PAGER_WAITS, 1);
    let waits = true;
    return () => {
      if (waits) Atomics.sub(this.#control, PAGER_WAITS, 1);
      waits = false;
    };
  }

  /** From now on no thread takes a pin: to be called before the page tables go. */
  end(): void {
    Atomics.store(this.#control, ALIVE, 0);
  }
}
