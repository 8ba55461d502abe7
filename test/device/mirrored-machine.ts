/** A machine with mirror devices attached, an address space, and the byte that fills each of its pages, for tests of what lies below unified memory. */

import assert from "node:assert/strict";
import { AttachedDevice } from "../../src/device/attached-device.js";
import type { DeviceDriver } from "../../src/device/driver.js";
import { type MirrorOptions, mirrorDevice } from "../../src/device/mirror/index.js";
import type { AddressSpace } from "../../src/mm/space/address-space.js";
import { PTE_FRAME_SHIFT } from "../../src/mm/table/entry.js";
import { Machine } from "../../src/mm/machine.js";
import { ZONE_PRIVATE } from "../../src/mm/frames/zone.js";
import { byteOf, mapPages, PAGE, SHARED, store } from "../builders.js";
import { TestEnvironment } from "../environments.js";
import { checkInvariants, type Holders } from "../invariants.js";

export interface MirroredSetup extends Omit<MirrorOptions, "budget"> {
  devicePages?: number;
  hostPages?: number;
  environment?: TestEnvironment;
  /** Puts a driver of the test's own around the mirror. */
  alter?: (driver: DeviceDriver) => DeviceDriver;
}

export class MirroredMachine {
  readonly machine: Machine;
  readonly mm: AddressSpace;
  readonly devices: AttachedDevice[] = [];

  constructor({ hostPages = Number.POSITIVE_INFINITY, environment = new TestEnvironment() }: MirroredSetup) {
    this.machine = new Machine({ pageSize: PAGE, hostBudget: hostPages * PAGE, environment, shared: SHARED });
    this.mm = this.machine.createAddressSpace();
  }

  /** The first device. */
  get device(): AttachedDevice {
    return this.devices[0] ?? assert.fail("no device is attached");
  }

  async attach(setup: MirroredSetup): Promise<AttachedDevice> {
    const { devicePages = 16, kind = "private", link = {}, alter = (driver) => driver } = setup;
    const attached = await AttachedDevice.attach(
      this.machine,
      alter(mirrorDevice({ budget: devicePages * PAGE, kind, link })),
    );
    this.devices.push(attached);
    return attached;
  }

  /** Maps pages with home frames, each filled with its own number from 1 on; 0 leaves pages untouched. */
  async mapFilled(pages: number, filled = pages): Promise<number> {
    const first = await mapPages(this.mm, pages, { home: true });
    for (let i = 0; i < filled; i++) await store(this.mm, first + i, i + 1);
    return first;
  }

  frameAt(page: number): number {
    return this.mm.pageTable.read(page) >>> PTE_FRAME_SHIFT;
  }

  /** The device that holds the page; null for the host or nobody. */
  holderOf(page: number): AttachedDevice | null {
    const frame = this.frameAt(page);
    return this.devices.find(({ zone }) => frame >= zone.first && frame < zone.first + zone.frames) ?? null;
  }

  onDevice(first: number, pages: number): boolean[] {
    return Array.from({ length: pages }, (_, i) => this.holderOf(first + i) !== null);
  }

  /** The byte that fills each page, wherever it is. */
  bytesAt(first: number, pages: number): number[] {
    return Array.from({ length: pages }, (_, i) =>
      byteOf((this.holderOf(first + i) ?? this.device).pageBytes(this.frameAt(first + i))),
    );
  }

  check(holders: Holders = {}): void {
    checkInvariants(this.machine, {
      deviceBytes: (frame) => {
        const { kind, first } = this.machine.zones.of(frame);
        const holder = this.devices.find(({ zone }) => zone.first === first);
        return kind === ZONE_PRIVATE && holder !== undefined ? holder.device.run(frame - first, 1) : null;
      },
      ...holders,
    });
    for (const { allocator, zone } of this.devices) {
      for (let i = 0; i < zone.frames; i++) {
        const free = this.machine.frames.refcount(zone.first + i) === 0;
        assert.equal(allocator.isFree(i), free, `device frame ${i}`);
      }
    }
  }
}

export async function mirroredMachine(setup: MirroredSetup = {}): Promise<MirroredMachine> {
  const mirrored = new MirroredMachine(setup);
  await mirrored.attach(setup);
  return mirrored;
}
