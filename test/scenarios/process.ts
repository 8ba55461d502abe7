/** A process of a scenario: an address space, and a page table of its own for each device that it has open. */

import { evict } from "../../src/cli/conform/batches.js";
import { MirrorTable } from "../../src/cli/conform/mirror-table.js";
import type { Client } from "../../src/cli/conform/recording-driver.js";
import { createPageCache } from "../../src/mm/stores.js";
import {
  type AddressSpace,
  exitAddressSpace,
  forkAddressSpace,
  madvise,
  mmap,
  type MapOptions,
} from "../../src/mm/index.js";
import { TABLE_WORDS } from "../../src/mm/table/page-table.js";
import { PAGE } from "../builders.js";
import { Region } from "./region.js";
import type { Stage } from "./scenario.js";

/** Where regions lie: each begins with a leaf table, and a whole one stays free between two. */
const FIRST_PAGE = 1000 * TABLE_WORDS;
const ROOM = 256 * TABLE_WORDS;

/** `over`: at the addresses of another region, instead of new ones. */
export type RegionOptions = Omit<MapOptions, "length" | "address"> & { readonly over?: Region };

export class Process {
  readonly clients: Client[] = [];
  #next: number;

  constructor(
    readonly stage: Stage,
    readonly mm: AddressSpace,
    next = FIRST_PAGE,
  ) {
    this.#next = next;
    stage.processes.add(this);
    stage.devices.forEach((_, device) => this.open(device));
  }

  /** Opens the device, whose table for this process is empty then. */
  open(device: number): void {
    const table = new MirrorTable(this.stage.devices[device], FIRST_PAGE, ROOM);
    this.clients[device] = { mm: this.mm, device: this.stage.devices[device], table };
    this.mm.notifiers.register(table);
    this.stage.check();
  }

  /** Closes the device, which empties it. */
  close(device: number): void {
    this.mm.notifiers.unregister(this.clients[device].table);
    evict(this.stage.devices[device]);
    this.stage.check();
  }

  /** Maps a region; of anonymous private memory, when nothing else is said. */
  async map(pages: number, options: RegionOptions = {}): Promise<Region> {
    const { over, ...rest } = options;
    const first = over?.first ?? this.#next;
    if (over === undefined) this.#next += (Math.ceil(pages / TABLE_WORDS) + 1) * TABLE_WORDS;
    await mmap(this.mm, { ...rest, address: first * PAGE, length: pages * PAGE });
    this.stage.check();
    return new Region(this, first, pages);
  }

  /** Maps blocks that ask for huge pages. */
  async mapHuge(blocks: number): Promise<Region> {
    const region = await this.map(blocks * TABLE_WORDS);
    await madvise(this.mm, region.first * PAGE, blocks * TABLE_WORDS * PAGE, "hugepage");
    return region;
  }

  /** Maps anonymous memory that children share. */
  async mapShared(pages: number): Promise<Region> {
    const file = createPageCache(this.stage.machine, pages);
    const region = await this.map(pages, { file, shared: true });
    // It goes with its last mapping.
    file.release();
    return region;
  }

  /** The child opens the devices for itself. */
  async fork(): Promise<Process> {
    const child = new Process(this.stage, await forkAddressSpace(this.mm), this.#next);
    this.stage.check();
    return child;
  }

  async exit(): Promise<void> {
    this.stage.processes.delete(this);
    await exitAddressSpace(this.mm);
    this.stage.check();
    for (const device of this.stage.devices) evict(device);
    this.stage.check();
  }
}
