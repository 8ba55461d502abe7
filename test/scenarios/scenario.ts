/**
 * The stage of the kernel's HMM scenarios: a machine of 4 KiB pages with two devices, driven as the driver that recorded
 * Linux's runs drives them, and processes that have both open. A scenario runs once with private and once with coherent
 * devices; the invariants hold after every step, and nothing is left when the processes have gone.
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { RecordedDevice } from "../../src/cli/conform/recorded-device.js";
import type { DeviceKind } from "../../src/cli/conform/trace-format.js";
import { createPageCache } from "../../src/mm/stores.js";
import { Machine, type PageCache } from "../../src/mm/index.js";
import { PAGE, SHARED } from "../builders.js";
import { checkInvariants } from "../invariants.js";
import { Process } from "./process.js";

/** Pages of a range that takes several batches of the driver. */
export const PAGES = 256;

const DEVICES = 2;
/** Page frames by which the memory of a device grows. */
const CHUNK_FRAMES = 1024;

/** Declares the scenario, by the kernel's name for it, for both kinds of device. */
export function scenario(name: string, says: string, act: (stage: Stage) => Promise<void>): void {
  for (const kind of ["private", "coherent"] as const) {
    test(`${name}: ${says} (${kind} device)`, async () => {
      const stage = new Stage(kind);
      await act(stage);
      await stage.end();
    });
  }
}

export class Stage {
  readonly machine = new Machine({ pageSize: PAGE, shared: SHARED });
  readonly devices: readonly RecordedDevice[];
  /** References that the scenario holds: pins. */
  readonly held: [frame: number, references: number][] = [];
  readonly processes = new Set<Process>();
  /** The process that is there from the beginning. */
  readonly process: Process;
  readonly #files: PageCache[] = [];
  #busy = false;

  constructor(readonly kind: DeviceKind) {
    const { machine } = this;
    this.devices = Array.from({ length: DEVICES }, () => new RecordedDevice(machine, kind, CHUNK_FRAMES));
    this.process = this.start();
  }

  start(): Process {
    return new Process(this, this.machine.createAddressSpace());
  }

  /** A file that is wholly cached, filled from `base` like a region. */
  createFile(pages: number, base: number): PageCache {
    const file = createPageCache(this.machine, pages);
    this.#files.push(file);
    for (let i = 0; i < pages; i++) {
      const words = new Int32Array(PAGE / 4);
      words[0] = words[words.length - 1] = base + i;
      file.write(i, new Uint8Array(words.buffer));
    }
    return file;
  }

  /** Chooses what is right for the kind of device. */
  readonly by = <T>(choices: Record<DeviceKind, T>): T => choices[this.kind];

  /** After a step: is everything as it must be? */
  check(): void {
    checkInvariants(this.machine, { references: this.held, busy: this.#busy });
  }

  /** Waits for steps that meet each other. */
  async all<T extends readonly unknown[]>(steps: { [K in keyof T]: Promise<T[K]> }): Promise<T> {
    this.#busy = true;
    const results = await Promise.all(steps);
    this.#busy = false;
    this.check();
    return results;
  }

  /** Page frames of the device's memory that are in use. */
  used(device: number): number {
    const { frames } = this.machine;
    let used = 0;
    for (const { zone } of this.devices[device].chunks) {
      for (let frame = zone.first; frame < zone.first + zone.frames; frame++) if (frames.refcount(frame) > 0) used++;
    }
    return used;
  }

  async end(): Promise<void> {
    for (const process of this.processes) await process.exit();
    for (const file of this.#files) file.release();
    const { machine, devices } = this;
    machine.lru.drain();
    const left = { host: machine.host.charge.usage, tables: machine.tables.used, roots: machine.anonVmaCount };
    assert.deepEqual(left, { host: 0, tables: 0, roots: 0 });
    devices.forEach((_, device) => assert.equal(this.used(device), 0));
  }
}
