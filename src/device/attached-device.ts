/**
 * A device that is part of a machine: its zone of frames, which of them are free, its page tables of address spaces, and
 * the arrays that its migrations use. It is the page map's owner, by which the protocol tells its pages from those of
 * other devices.
 */

import type { AddressSpace } from "../mm/space/address-space.js";
import { MemoryError } from "../mm/errors.js";
import { PG_LOCKED } from "../mm/frames/frames.js";
import type { Machine } from "../mm/machine.js";
import { type DeviceFault, type PageMap, type PageMapOps, type Zone, ZONE_PRIVATE } from "../mm/frames/zone.js";
import { createMigrationCounters, type MigrationCounters } from "../trace/counters.js";
import type { DeviceLostError } from "./device-lost-error.js";
import type { Device, DeviceDriver, DeviceHost } from "./driver.js";
import { FrameAllocator } from "./frame-allocator.js";
import { migrateFaultedPage } from "./migrate-to-host.js";
import { DevicePageTable } from "./page-table.js";
import { Transfers } from "./transfers.js";

export class AttachedDevice implements PageMap {
  readonly owner: object = this;
  readonly ops: PageMapOps;
  readonly machine: Machine;
  readonly driver: DeviceDriver;
  readonly device: Device;
  readonly zone: Zone;
  readonly allocator: FrameAllocator;
  readonly counters: MigrationCounters;
  /** Why the device is gone; null while it is there. Then nothing goes to it any more. */
  lost: DeviceLostError | null = null;
  readonly transfers = new Transfers();
  readonly #tables = new Map<AddressSpace, DevicePageTable>();

  private constructor(machine: Machine, driver: DeviceDriver, device: Device, counters: MigrationCounters) {
    this.machine = machine;
    this.driver = driver;
    this.device = device;
    this.counters = counters;
    this.ops = {
      pageFree: (frame) => this.#free(frame),
      migrateToRam: (fault: DeviceFault) => migrateFaultedPage(this, fault),
    };
    this.zone = machine.addDeviceMemory(driver.kind, device.frames, device.bytes, this);
    this.allocator = new FrameAllocator(device.frames);
    void device.lost?.then((error) => {
      this.lost = error;
    });
  }

  /**
   * Opens the driver's device and adds its memory to the machine, to count on with `counters`; EINVAL, with the device closed,
   * for what is not as agreed.
   */
  static async attach(
    machine: Machine,
    driver: DeviceDriver,
    counters: MigrationCounters = createMigrationCounters(),
  ): Promise<AttachedDevice> {
    const { pageSize, environment, debug, shared } = machine;
    if (typeof driver?.open !== "function")
      throw new MemoryError(
        "EINVAL",
        `a device is a driver with the method open, not ${driver === null ? "null" : typeof driver}`,
      );
    if (driver.kind !== "private" && driver.kind !== "coherent")
      throw new MemoryError("EINVAL", `a device's kind is "private" or "coherent", not "${String(driver.kind)}"`);
    if (!(driver.budget >= pageSize)) {
      throw new MemoryError(
        "EINVAL",
        `device budget of ${driver.budget} bytes is less than one page of ${pageSize} bytes`,
      );
    }
    const host: DeviceHost = {
      pageSize,
      environment,
      debug,
      shared,
      bytes: (frame, count) => machine.zones.run(frame, count),
    };
    const device = await driver.open(host);
    try {
      checkDevice(driver, device, pageSize);
      return new AttachedDevice(machine, driver, device, counters);
    } catch (error) {
      await device.close();
      throw error;
    }
  }

  /** The device's page table of an address space, made at first use. */
  table(mm: AddressSpace): DevicePageTable {
    let table = this.#tables.get(mm);
    if (table === undefined) {
      table = new DevicePageTable(mm, this.owner);
      this.#tables.set(mm, table);
    }
    return table;
  }

  /** Lets go of all address spaces. */
  forgetAll(): void {
    for (const mm of this.#tables.keys()) this.forget(mm);
  }

  /** Lets go of an address space that is gone. */
  forget(mm: AddressSpace): void {
    this.#tables.get(mm)?.close();
    this.#tables.delete(mm);
  }

  /** A free frame, locked and with one reference, for the destination of a migration; 0 when there is none. */
  allocate(): number {
    if (!this.machine.environment.mayAllocate("device-frame")) return 0;
    const index = this.allocator.allocate();
    return index < 0 ? 0 : this.#handOut(index);
  }

  /** The same for a given frame, by its number within the device; 0 when it is in use. */
  allocateAt(index: number): number {
    if (!this.allocator.isFree(index) || !this.machine.environment.mayAllocate("device-frame")) return 0;
    this.allocator.take(index, 1);
    return this.#handOut(index);
  }

  /** The bytes of a page where the device would access it: in its own memory or in the host's. */
  pageBytes(frame: number): Uint8Array {
    const { kind, first, frames } = this.zone;
    if (kind === ZONE_PRIVATE && frame >= first && frame < first + frames) {
      const bytes = this.device.run(frame - first, 1);
      if (bytes !== null) return bytes;
    }
    return this.machine.zones.bytes(frame);
  }

  get usedFrames(): number {
    return this.allocator.frames - this.allocator.free;
  }

  #handOut(index: number): number {
    const frame = this.zone.first + index;
    this.machine.frames.get(frame);
    this.machine.frames.setFlags(frame, PG_LOCKED);
    return frame;
  }

  #free(frame: number): void {
    const index = frame - this.zone.first;
    if (this.lost === null) this.device.discard(index);
    this.allocator.release(index);
  }
}

/** What only this layer relies on; the machine checks the rest. */
function checkDevice({ name, budget }: DeviceDriver, { frames, bytes, lookahead }: Device, pageSize: number): void {
  if (frames * pageSize > budget) {
    throw new MemoryError(
      "EINVAL",
      `${name} brings ${frames * pageSize} bytes, more than its budget of ${budget} bytes`,
    );
  }
  if (bytes !== null && bytes.byteOffset % 8 !== 0) {
    throw new MemoryError("EINVAL", `the memory of ${name} begins at byte ${bytes.byteOffset}, not at a multiple of 8`);
  }
  if (lookahead !== 0 && lookahead !== 1 && lookahead !== 2)
    throw new MemoryError("EINVAL", `the lookahead of ${name} is ${String(lookahead)}, not 0, 1 or 2`);
}
