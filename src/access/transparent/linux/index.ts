/**
 * Transparent access on Linux: the descriptor, a method, the reading of messages and their supervision, for one address space.
 * In the thread of the pager.
 */

import type { AddressSpace } from "../../../mm/space/address-space.js";
import { FaultServer, type FaultSurroundings } from "../fault-server.js";
import { IdleMemory } from "../idle-memory.js";
import { ProcessTable } from "../process-table.js";
import { FaultMessages } from "./fault-messages.js";
import { chooseMethod, type FaultMethod } from "./offer.js";
import { startSupervisor } from "./supervisor.js";
import type { System } from "./system.js";
import { type Privilege, Userfaultfd } from "./userfaultfd.js";
import { BEATS, createWatchWords } from "./watch-words.js";

/** What is asked for, all of it optional; what is not is what works best here. */
export interface LinuxOptions {
  readonly method?: FaultMethod;
  readonly privilege?: Privilege;
  /** Milliseconds that faults may wait while nobody reads them, before the process ends. */
  readonly patience?: number;
}

/** What is in force. */
export interface LinuxAccess {
  readonly table: ProcessTable;
  readonly server: FaultServer;
  readonly idle: IdleMemory;
  readonly privilege: Privilege;
  /** Of the process: closing it lets threads go that wait. */
  readonly descriptor: number;
  /** Nothing faults any more; what is there is taken back. */
  close(): Promise<void>;
}

const PATIENCE = 10_000;
const BEATS_A_PATIENCE = 40;
/** Memory is idle for so many beats before it is given back, twice as many at most. */
const BEATS_A_LOOK = 40;

declare function setInterval(beat: () => void, milliseconds: number): object;
declare function clearInterval(beat: object): void;

/** Opens it for an address space; `koffi` is where other threads find it. ENOTSUP where it cannot be had. */
export async function openLinuxAccess(
  system: System,
  koffi: string,
  mm: AddressSpace,
  surroundings: FaultSurroundings,
  { method, privilege, patience = PATIENCE }: LinuxOptions,
): Promise<LinuxAccess> {
  const watch = Userfaultfd.open(system, privilege);
  try {
    const pages = chooseMethod(watch, mm.machine.pageSize, method);
    const fail = (error: unknown): never => system.die(`transparent access has failed: ${textOf(error)}`);
    const table = new ProcessTable(mm, pages, fail);
    const server = new FaultServer(table, surroundings);
    const words = createWatchWords();
    const stopSupervisor = await startSupervisor(
      { koffi, descriptor: watch.descriptor, words, exiting: system.exiting, patience },
      fail,
    );
    const messages = new FaultMessages(watch, words, server, fail);
    const idle = new IdleMemory(mm.machine, table);
    const beat = setInterval(() => {
      if (Atomics.add(words, BEATS, 1) % BEATS_A_LOOK === 0) idle.age();
    }, patience / BEATS_A_PATIENCE);
    const close = async (): Promise<void> => {
      clearInterval(beat);
      table.destroy();
      await messages.close();
      stopSupervisor();
      watch.close();
    };
    return { table, server, idle, privilege: watch.privilege, descriptor: watch.descriptor, close };
  } catch (error) {
    watch.close();
    throw error;
  }
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
