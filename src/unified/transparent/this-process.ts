/**
 * What the thread that makes a memory with transparent access sees to: that the process does not go on when the pager has
 * ended by itself, and that threads which wait for pages do not keep a process that exits.
 */

import { findKoffi, System } from "../../access/transparent/linux/system.js";
import { FAULT_METHODS } from "../../access/transparent/linux/offer.js";
import { LADDER } from "../../access/transparent/linux/userfaultfd.js";
import type { OptionNames } from "../../device/options.js";
import { MemoryError } from "../../mm/errors.js";
import type { TransparentOptions } from "../pager.js";
import type { TransparentStart } from "./open-views.js";

const OPTIONS: OptionNames<TransparentOptions> = { method: true, privilege: true, patience: true };

interface NodeProcess {
  on(event: "exit", listener: () => void): void;
  off(event: "exit", listener: () => void): void;
}

export class ThisProcess {
  readonly start: TransparentStart;
  readonly #system: System;
  #onExit: (() => void) | null = null;
  #left = false;

  private constructor(koffi: string, options: TransparentOptions, system: System) {
    this.start = { koffi, exiting: system.exiting, options };
    this.#system = system;
  }

  /** EINVAL for options that there are not. ENOTSUP, saying what is missing, on another system or without `koffi`. */
  static async prepare(options: TransparentOptions): Promise<ThisProcess> {
    check(options);
    const koffi = findKoffi();
    return new ThisProcess(koffi, options, await System.load(koffi));
  }

  /** From now on threads may wait for pages. */
  enter(descriptor: number): void {
    this.#onExit = () => this.#system.letGo(descriptor);
    node().on("exit", this.#onExit);
  }

  /** The memory is destroyed: the descriptor is closed, or will be. */
  leave(): void {
    this.#left = true;
    if (this.#onExit !== null) node().off("exit", this.#onExit);
    this.#onExit = null;
  }

  /** The pager's thread has ended; unless the memory has, nobody answers the threads that wait. */
  pagerEnded(reason: MemoryError): void {
    if (!this.#left && this.#onExit !== null) this.#system.die(reason.message);
  }
}

/** EINVAL for what is no access, and for options of one that is not asked for. */
export function checkAccess(access: string, options: unknown): void {
  if (access !== "pinned" && access !== "transparent")
    throw new MemoryError("EINVAL", `cpuAccess is "pinned" or "transparent", not "${String(access)}"`);
  if (access === "pinned" && options !== undefined)
    throw new MemoryError("EINVAL", 'transparent says how, for cpuAccess: "transparent" alone');
}

function check(options: TransparentOptions): void {
  for (const name of Object.keys(options)) checkName("an option of transparent", name, Object.keys(OPTIONS));
  const { method, privilege, patience = 1 } = options;
  const privileges = LADDER.map((step) => step.privilege);
  checkName("transparent.method", method, FAULT_METHODS);
  checkName("transparent.privilege", privilege, privileges);
  if (!(patience > 0 && patience < Infinity))
    throw new MemoryError("EINVAL", `transparent.patience is a time in milliseconds, not ${String(patience)}`);
}

function checkName(what: string, given: string | undefined, names: readonly string[]): void {
  if (given === undefined || names.includes(given)) return;
  throw new MemoryError("EINVAL", `${what} is one of ${names.join(", ")}, not "${String(given)}"`);
}

function node(): NodeProcess {
  return (globalThis as unknown as { process: NodeProcess }).process;
}
