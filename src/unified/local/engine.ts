/** What the mappings and kernels of one pager share. */

import type { AttachedDevice } from "../../device/attached-device.js";
import type { AddressSpace } from "../../mm/space/address-space.js";
import type { Machine } from "../../mm/machine.js";
import type { Operation } from "../operation-queue.js";
import type { ArrayPlace } from "./array-place.js";
import type { BoundPages } from "./bound-pages.js";
import type { LocalMapping } from "./local-mapping.js";
import type { ArrayViews } from "../transparent/array-views.js";
import type { Residency } from "./residency.js";
import type { Sharing } from "./sharing.js";
import { Sources } from "./sources.js";

export class Engine {
  readonly machine: Machine;
  readonly mm: AddressSpace;
  /** The device, or the one that is lost and not replaced yet. */
  attached: AttachedDevice;
  /** Made when something first goes to the device: a part that is loaded on demand. */
  residency: Residency | null = null;
  /** What the program uses on the device by itself; null before it uses any of it. */
  bound: BoundPages | null = null;
  /** What mapped arrays are read from. */
  readonly sources = new Sources();
  /** All, from when they are made until they are unmapped. */
  readonly mappings = new Set<LocalMapping>();
  /** With the threads of a shared memory; else null. */
  readonly sharing: Sharing | null;
  /** Of a memory with transparent access; else null. */
  views: ArrayViews | null = null;
  /** The operation that runs, or ran last. */
  running: Promise<unknown> = Promise.resolve();
  /** While the pages of a lost device are taken off it; what is called then waits. */
  recovering: Promise<void> | null = null;

  constructor(attached: AttachedDevice, mm: AddressSpace, sharing: Sharing | null) {
    this.machine = attached.machine;
    this.mm = mm;
    this.attached = attached;
    this.sharing = sharing;
  }
}

/** With all that going to the device takes. */
export interface DeviceEngine extends Engine {
  residency: Residency;
  bound: BoundPages;
}

/** Makes the mapping of a place of so many pages. */
export type MakeMapping = (place: ArrayPlace, pages: number) => LocalMapping;

/** Does an operation's work with nobody else's in between. */
export function alone<T>(engine: Engine, operation: Operation, work: () => Promise<T>): Promise<T> {
  const run = (): Promise<T> => {
    const running = engine.recovering === null ? work() : engine.recovering.then(work);
    engine.running = running;
    return running;
  };
  return engine.sharing === null ? run() : engine.sharing.exclusive.run(operation, run);
}

/** Does nobody do an operation's work? */
export function isAlone({ recovering, sharing }: Engine): boolean {
  return recovering === null && (sharing === null || sharing.exclusive.isFree);
}

/** The same as `alone` for work that may be done without a wait, which then has ended when this returns. */
export function aloneAtOnce(
  engine: Engine,
  operation: Operation,
  work: () => Promise<void> | undefined,
): Promise<void> | undefined {
  if (!isAlone(engine)) return alone(engine, operation, async () => work());
  const run = (): Promise<void> | undefined => {
    const running = work();
    if (running !== undefined) engine.running = running;
    return running;
  };
  return engine.sharing === null ? run() : engine.sharing.exclusive.runNow(run);
}
