/**
 * A device of the recorder: its memory, which never runs out, and the page map's callbacks. Memory comes in chunks; the
 * bytes of a private device lie here, where the CPU has no way to them.
 *
 * Every frame in use knows the page table of the process that moved a page there: when the page comes back for a fault of
 * the CPU, it is taken out of that one, whoever faulted.
 */

import { assert } from "../../mm/errors.js";
import { type DeviceFault, type Machine, type PageMap, type Zone } from "../../mm/index.js";
import {
  MIGRATE_VMA_SELECT_DEVICE_COHERENT,
  MIGRATE_VMA_SELECT_DEVICE_PRIVATE,
  MigrateVma,
} from "../../migrate/index.js";
import { bringBack } from "./batches.js";
import type { MirrorTable } from "./mirror-table.js";
import type { DeviceKind } from "./trace-format.js";

/** Pages that the driver migrates at a time. */
export const BATCH_PAGES = 64;

interface Chunk {
  readonly zone: Zone;
  readonly bytes: Uint8Array;
}

export class RecordedDevice {
  readonly pageMap: PageMap;
  /** Which pages a migration to the system selects. */
  readonly selection: number;
  readonly chunks: Chunk[] = [];
  readonly #free: number[] = [];
  readonly #tables = new Map<number, MirrorTable>();
  /** For migrations of ranges. */
  readonly batch = new MigrateVma(BATCH_PAGES);
  readonly #faultBatch = new MigrateVma(1);

  constructor(
    readonly machine: Machine,
    readonly kind: DeviceKind,
    readonly chunkFrames: number,
  ) {
    this.pageMap = {
      owner: this,
      ops: {
        pageFree: (frame) => {
          this.#tables.delete(frame);
          this.#free.push(frame);
        },
        migrateToRam: (fault) => this.#migrateToRam(fault),
      },
    };
    this.selection = kind === "private" ? MIGRATE_VMA_SELECT_DEVICE_PRIVATE : MIGRATE_VMA_SELECT_DEVICE_COHERENT;
  }

  /** A frame for a page that `table`'s process moves here, locked, with one reference. */
  allocate(table: MirrorTable): number {
    if (this.#free.length === 0) this.#grow();
    const frame = this.#free.pop() as number;
    this.#tables.set(frame, table);
    const { frames } = this.machine;
    assert(frames.refcount(frame) === 0, `device page frame ${frame} is handed out while it is referenced`);
    frames.get(frame);
    assert(frames.tryLock(frame), `device page frame ${frame} is handed out while it is locked`);
    return frame;
  }

  /** The table that a page in `frame` has to leave before it is copied away. */
  tableOf(frame: number): MirrorTable {
    const table = this.#tables.get(frame);
    assert(table !== undefined, `device page frame ${frame} is in use but was never handed out`);
    return table;
  }

  /** The bytes of a frame as the device reaches them: its own memory, or the host's. */
  bytes(frame: number): Uint8Array {
    const chunk = this.chunks.find(({ zone }) => frame >= zone.first && frame < zone.first + zone.frames);
    if (chunk === undefined) return this.machine.zones.bytes(frame);
    const { pageSize } = this.machine;
    const offset = (frame - chunk.zone.first) * pageSize;
    return chunk.bytes.subarray(offset, offset + pageSize);
  }

  #grow(): void {
    const { chunkFrames } = this;
    const bytes = new Uint8Array(chunkFrames * this.machine.pageSize);
    const reachable = this.kind === "coherent" ? bytes : null;
    const zone = this.machine.addDeviceMemory(this.kind, chunkFrames, reachable, this.pageMap);
    this.chunks.push({ zone, bytes });
    for (let i = chunkFrames - 1; i >= 0; i--) this.#free.push(zone.first + i);
  }

  async #migrateToRam({ vma, page, frame }: DeviceFault): Promise<void> {
    const batch = this.#faultBatch;
    batch.faultPage = frame;
    bringBack(this, batch, this.tableOf(frame), vma, page, page + 1);
    return Promise.resolve();
  }
}
