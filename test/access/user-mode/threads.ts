/** Builders for tests of threads in user mode: a shared machine with written pages at home, and threads that are this very one. */

import type { AddressSpace } from "../../../src/mm/space/address-space.js";
import { DMA_PIN } from "../../../src/mm/fault/gup.js";
import type { Machine } from "../../../src/mm/machine.js";
import { UserMachine } from "../../../src/access/user-mode/user-machine.js";
import type { UserPort } from "../../../src/access/user-mode/user-port.js";
import { UserPorts } from "../../../src/access/user-mode/user-ports.js";
import { createMachine, mapPages, type MachineSetup, store } from "../../builders.js";
import type { TestEnvironment } from "../../environments.js";
import { checkInvariants, type Holders } from "../../invariants.js";

export interface SharedSpace {
  readonly machine: Machine;
  readonly environment: TestEnvironment;
  readonly mm: AddressSpace;
  readonly ports: UserPorts;
  /** The first of the mapped pages. */
  readonly page: number;
}

/** A shared machine whose first mapping has `pages` pages at home, each filled with its index + 1. */
export async function sharedSpace(pages: number, setup: MachineSetup<TestEnvironment> = {}): Promise<SharedSpace> {
  const { machine, environment } = createMachine({ ...setup, shared: true });
  const mm = machine.createAddressSpace();
  const page = await mapPages(mm, pages, { home: true });
  for (let i = 0; i < pages; i++) await store(mm, page + i, i + 1);
  return { machine, environment, mm, ports: new UserPorts(mm), page };
}

/** A thread in user mode, and its port. */
export interface UserThread {
  readonly port: UserPort;
  readonly user: UserMachine;
  /** How often the pager was told to collect. */
  readonly told: { times: number };
}

export function userThread(ports: UserPorts, name = "thread"): UserThread {
  const port = ports.open(name);
  const told = { times: 0 };
  const view = structuredClone(port.view());
  return { port, user: new UserMachine(view, () => told.times++), told };
}

/** Checks a machine of which threads hold pages. */
export function checkShared({ machine, ports }: SharedSpace, holders: Holders = {}): void {
  const references: (readonly [number, number])[] = [...(holders.references ?? [])];
  for (const port of ports) port.forEachHeld((frame) => references.push([frame, DMA_PIN]));
  checkInvariants(machine, { ...holders, references });
}
