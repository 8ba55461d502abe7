/**
 * A unified memory for tests, with a small device, whose machine the test can look into: where pages are, what they
 * hold without moving them, and whether every invariant holds. When the test ends the memory is destroyed, and nothing
 * may be left.
 */

import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { AttachedDevice } from "../../src/device/attached-device.js";
import type { DeviceDriver } from "../../src/device/driver.js";
import { type LinkOptions, mirrorDevice } from "../../src/device/mirror/index.js";
import type { AddressSpace } from "../../src/mm/space/address-space.js";
import { isSwapEntry, PTE_FRAME_SHIFT } from "../../src/mm/table/entry.js";
import type { Environment } from "../../src/mm/environment.js";
import { DMA_PIN } from "../../src/mm/fault/gup.js";
import { Machine } from "../../src/mm/machine.js";
import { swapOn } from "../../src/mm/stores.js";
import type { SwapStore } from "../../src/mm/swap/swap.js";
import { ZONE_PRIVATE } from "../../src/mm/frames/zone.js";
import { LocalPager } from "../../src/unified/local/local-pager.js";
import { Sharing } from "../../src/unified/local/sharing.js";
import type { PagedArray } from "../../src/unified/paged-array.js";
import { UnifiedMemory } from "../../src/unified/unified-memory.js";
import { PAGE, SHARED } from "../builders.js";
import { TestEnvironment } from "../environments.js";
import { checkInvariants } from "../invariants.js";
import { openRemote } from "./remote-memory.js";
import { setting } from "../setting.js";

/** Are memories asked for by messages, as by another thread? `threads/remote-front.test.ts` sets it. */
export const REMOTE = setting("PAGEFERRY_TEST_REMOTE") === "1";

/** Is the device a GPU, where a test asks for no other? `webgpu/arrays.test.ts` sets it. */
const WEBGPU = setting("PAGEFERRY_TEST_DEVICE") === "webgpu";

export interface MemorySetup {
  devicePages?: number;
  hostPages?: number;
  pageSize?: number;
  kind?: "private" | "coherent";
  link?: LinkOptions;
  debug?: boolean;
  /** Where pages go when host memory is used up. */
  swap?: SwapStore;
  /** Other threads reach the machine, and kernels that are modules run in a worker. Default: as this run of the tests is. */
  shared?: boolean;
  /** In place of a mirror device. */
  driver?: DeviceDriver;
  environment?: Environment;
}

export class OpenedMemory {
  readonly memory: UnifiedMemory;
  readonly machine: Machine;
  readonly mm: AddressSpace;

  readonly #first: AttachedDevice;

  constructor(memory: UnifiedMemory, machine: Machine, attached: AttachedDevice) {
    this.memory = memory;
    this.machine = machine;
    this.#first = attached;
    const [mm] = machine.addressSpaces;
    assert.ok(mm !== undefined);
    this.mm = mm;
  }

  /** The device, or one that is lost. */
  get attached(): AttachedDevice {
    for (const { pageMap } of this.machine.zones.list) {
      if (pageMap instanceof AttachedDevice && pageMap.lost === null) return pageMap;
    }
    return this.#first;
  }

  /** The frame behind each page of an array; 0 for one that has none. */
  framesOf(array: PagedArray): number[] {
    return Array.from(
      { length: array.pages },
      (_, i) => this.mm.pageTable.read(array.firstPage + i) >>> PTE_FRAME_SHIFT,
    );
  }

  isOnDevice(frame: number): boolean {
    const { first, frames } = this.attached.zone;
    return frame >= first && frame < first + frames;
  }

  /** How many pages of an array are on the device. */
  onDevice(array: PagedArray): number {
    return this.framesOf(array).filter((frame) => this.isOnDevice(frame)).length;
  }

  /** The bytes of an array, wherever its pages are; nothing moves. `source` is what it is mapped from. */
  contents(array: PagedArray, source: Uint8Array | null = null): Uint8Array {
    const { pageSize } = this.machine;
    const bytes = new Uint8Array(array.pages * pageSize);
    for (let i = 0; i < array.pages; i++) bytes.set(this.#pageBytes(array.firstPage + i, i, source), i * pageSize);
    return bytes.subarray(0, array.byteLength);
  }

  #pageBytes(page: number, index: number, source: Uint8Array | null): Uint8Array {
    const { pageSize, swap } = this.machine;
    const word = this.mm.pageTable.read(page);
    if (word === 0 && source !== null) return source.subarray(index * pageSize, (index + 1) * pageSize);
    const place = word >>> PTE_FRAME_SHIFT;
    if (!isSwapEntry(word)) return this.attached.pageBytes(place);
    const cached = swap?.cached(place) ?? 0;
    if (cached !== 0) return this.attached.pageBytes(cached);
    const store = swap?.store as { readonly pages?: ReadonlyMap<number, Uint8Array> } | undefined;
    const bytes = store?.pages?.get(place);
    assert.ok(bytes !== undefined, `page ${page} is in swap slot ${place}, which holds nothing`);
    return bytes;
  }

  /** Fails unless every invariant holds. Arrays with pins are named, so that their pins count. */
  check(...pinned: PagedArray[]): void {
    const references: [frame: number, references: number][] = [];
    for (const array of pinned) {
      const frames = this.framesOf(array);
      for (const { first, end } of array.pins) {
        for (let page = first; page < end; page++) references.push([frames[page] ?? 0, DMA_PIN]);
      }
    }
    this.checkHolding(references);
  }

  /** The same with references that the test knows of. */
  checkHolding(references: readonly (readonly [frame: number, references: number])[]): void {
    const { machine, attached } = this;
    checkInvariants(machine, {
      references,
      deviceBytes: (frame) =>
        attached.zone.kind === ZONE_PRIVATE && attached.lost === null
          ? attached.device.run(frame - attached.zone.first, 1)
          : null,
    });
    const used = Array.from({ length: attached.zone.frames }, (_, i) => attached.zone.first + i).filter(
      (frame) => machine.frames.refcount(frame) > 0,
    );
    assert.equal(attached.usedFrames, used.length, "the device's frames in use are those with references");
  }

  /** Destroys the memory, and fails if a page is left anywhere. */
  async destroyed(): Promise<void> {
    await this.memory.destroy();
    checkInvariants(this.machine);
    assert.equal(this.attached.usedFrames, 0, "device frames are left");
    assert.equal(this.machine.host.charge.usage, 0, "host frames are left");
    assert.equal(this.machine.swap?.used ?? 0, 0, "swap slots are left");
    assert.equal([...this.machine.pageCaches].length, 0, "page caches are left");
    assert.equal(this.machine.addressSpaces.size, 0);
  }
}

/** Opens a memory of 4 KiB pages with a mirror device of 16 pages, or as asked for. */
export async function openMemory(t: TestContext, setup: MemorySetup = {}): Promise<OpenedMemory> {
  const opened = await openUntended(setup);
  t.after(() => opened.destroyed());
  return opened;
}

/** The same where the test itself destroys the memory. */
export async function openUntended(setup: MemorySetup = {}): Promise<OpenedMemory> {
  const { devicePages = 16, hostPages = Number.POSITIVE_INFINITY, pageSize = PAGE } = setup;
  const { debug = false, environment = new TestEnvironment() } = setup;
  const shared = REMOTE || (setup.shared ?? SHARED);
  const driver = setup.driver ?? (await deviceFor(setup, devicePages * pageSize));
  const machine = new Machine({ pageSize, hostBudget: hostPages * pageSize, debug, environment, shared });
  if (setup.swap !== undefined) swapOn(machine, setup.swap);
  const attached = await AttachedDevice.attach(machine, driver);
  const pager = new LocalPager(machine, attached, shared ? (mm) => new Sharing(mm) : null);
  const memory = REMOTE ? await openRemote(pager, debug) : new UnifiedMemory(pager, debug);
  return new OpenedMemory(memory, machine, attached);
}

async function deviceFor({ kind = "private", link = {} }: MemorySetup, budget: number): Promise<DeviceDriver> {
  const onlySoftware = kind === "coherent" || Object.keys(link).length > 0;
  if (onlySoftware || !WEBGPU) return mirrorDevice({ budget, kind, link });
  const { ShadowedDriver } = await import("../webgpu/shadowed-driver.js");
  return ShadowedDriver.create(budget);
}
