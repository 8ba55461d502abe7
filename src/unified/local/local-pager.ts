/** The pager of a memory in its own thread: the engine, asked directly. */

import type { AttachedDevice } from "../../device/attached-device.js";
import type { DeviceLostError } from "../../device/device-lost-error.js";
import type { DeviceDriver, DeviceKernelDescriptor } from "../../device/driver.js";
import { MemoryError } from "../../mm/errors.js";
import type { Machine } from "../../mm/machine.js";
import type { AddressSpace } from "../../mm/space/address-space.js";
import { exitAddressSpace } from "../../mm/space/mapping.js";
import type { MapSourceOptions } from "../map-options.js";
import type { ArrayHandle } from "../array-handle.js";
import type { Checkpoint, Operation } from "../operation-queue.js";
import {
  type MappedPages,
  type Mapping,
  type Pager,
  type PagerKernel,
  type PagerLoss,
  type Port,
  type SharedMapping,
  UNMAPPED,
} from "../pager.js";
import type { Stats } from "../stats.js";
import type { ArrayViews } from "../transparent/array-views.js";
import type { Grants } from "../serve/port-server.js";
import { type ArrayPlace, checkRoom, ownPages } from "./array-place.js";
import type { DeviceModule } from "./device-module.js";
import { alone, Engine, type MakeMapping } from "./engine.js";
import { loadOnDemand } from "./load-on-demand.js";
import { LocalMapping } from "./local-mapping.js";
import type { Sharing } from "./sharing.js";
import { takeStats } from "./take-stats.js";

/** What the part is wanted for. */
const LOST_DEVICE = "lost devices";

/** A loss as this thread has it. */
export interface LocalLoss extends PagerLoss {
  readonly runs: ReadonlyMap<LocalMapping, readonly number[]>;
}

export class LocalPager implements Pager {
  readonly pageSize: number;
  loss: LocalLoss | null = null;
  onDevice: () => void = () => {};
  onEnd: (reason: MemoryError) => void = () => {};
  readonly #engine: Engine;
  #closed = false;

  constructor(machine: Machine, attached: AttachedDevice, share: ((mm: AddressSpace) => Sharing) | null = null) {
    const mm = machine.createAddressSpace();
    this.pageSize = machine.pageSize;
    this.#engine = new Engine(attached, mm, share === null ? null : share(mm));
    this.#watchDevice();
  }

  get identity(): string | null {
    return this.#engine.sharing?.identity ?? null;
  }

  /** Makes the arrays of this memory typed arrays to all threads. ENOTSUP, saying what is missing, where that cannot be. */
  openViews(open: (engine: Engine) => Promise<ArrayViews>): Promise<ArrayViews> {
    return open(this.#engine);
  }

  reserve(pages: number): Mapping {
    return this.#make(this.placeOf(pages), pages);
  }

  /** `make` makes the mapping in place of this pager. */
  async mapSource(
    source: string | URL | Blob,
    options: MapSourceOptions,
    checkpoint: Checkpoint,
    make: MakeMapping = (place, pages) => this.#make(place, pages),
  ): Promise<MappedPages> {
    const { mapSource } = await loadOnDemand("mapped files");
    return mapSource(this.#engine, source, options, checkpoint, make);
  }

  find(handle: ArrayHandle, pages: number): Mapping {
    return this.#shared("arrays of other threads").find(this, handle, pages);
  }

  async createKernel(descriptor: DeviceKernelDescriptor): Promise<PagerKernel> {
    const { attached } = this.#engine;
    if (attached.lost !== null) throw attached.lost;
    const kernel = await attached.device.createKernel(descriptor);
    const { KernelOnDevice } = await loadOnDemand("kernels");
    return new KernelOnDevice(this.#engine, descriptor, attached, kernel);
  }

  async replaceDevice(device: DeviceDriver | DeviceModule, operation: Operation): Promise<void> {
    const { replace } = await loadOnDemand(LOST_DEVICE);
    await alone(this.#engine, operation, () => replace(this.#engine, device, operation));
    this.#watchDevice();
    this.#tell(null);
  }

  get stats(): Stats {
    return takeStats(this.#engine);
  }

  async readStats(): Promise<Stats> {
    return this.stats;
  }

  async openPort(name: string): Promise<Port> {
    return this.#shared("ports for other threads").openPort(this, this.#engine, name).port;
  }

  async closePort(port: Port, terminated: boolean): Promise<void> {
    await this.#shared("ports for other threads").closePort(port, terminated);
  }

  /** Does what is asked at the port. `grants` says what the thread behind it may have done beside what every thread may. */
  serve(port: Port, name: string, grants: Partial<Grants>): void {
    this.#shared("ports for other threads").serve(this, this.#engine, port, name, grants);
  }

  stopKernels(reason: MemoryError): void {
    this.#engine.attached.device.stopKernels?.(reason);
  }

  async close(): Promise<void> {
    const { machine, mm, bound, sources, mappings, sharing } = this.#engine;
    this.#closed = true;
    if (sharing !== null) {
      const reason = new MemoryError("EINVAL", "the memory is destroyed");
      this.stopKernels(reason);
      await sharing.close(reason);
    }
    await this.#engine.recovering?.catch(() => {});
    for (const mapping of mappings) if (mapping.page === UNMAPPED) mapping.fail();
    bound?.letGoOf();
    const { attached, views } = this.#engine;
    await views?.destroy();
    await exitAddressSpace(mm);
    machine.lru.drain();
    attached.forget(mm);
    try {
      await attached.device.close();
    } finally {
      await sources.allEnded();
      await machine.swap?.store.close?.();
    }
  }

  /** Pages of their own for a mapping of another thread. */
  placeOf(pages: number): ArrayPlace {
    checkRoom(this.#engine.machine, pages);
    return ownPages(this.#engine, pages);
  }

  /** A mapping that another thread has told of, without its pages. */
  awaited(shared: SharedMapping, pages: number): LocalMapping {
    return new LocalMapping(this.#engine, pages, null, shared);
  }

  /** Its pages are taken off it once the operation that runs has ended, which it does: all that it asks of the device rejects. */
  #watchDevice(): void {
    const { device } = this.#engine.attached;
    if (device.lost === undefined) return;
    // What a loss takes is there before it: it may come with the loss of much else.
    const part = loadOnDemand(LOST_DEVICE);
    part.catch(() => {});
    void device.lost.then((error) => {
      if (this.#closed) return;
      this.#engine.recovering = this.#recover(error, part);
      this.#engine.recovering.catch(() => {});
    });
  }

  async #recover(error: DeviceLostError, part: ReturnType<typeof loadOnDemand>): Promise<void> {
    await this.#engine.running.catch(() => {});
    const { recover } = await part;
    const runs = await recover(this.#engine);
    this.#engine.recovering = null;
    if (!this.#closed) this.#tell({ error, runs, runsOf: (mapping) => runs.get(mapping as LocalMapping) ?? [] });
  }

  #tell(loss: LocalLoss | null): void {
    this.loss = loss;
    this.onDevice();
    for (const server of this.#engine.sharing?.servers.values() ?? []) server.tellLoss(loss);
  }

  #shared(what: string): Sharing {
    const { sharing } = this.#engine;
    if (sharing === null) throw new MemoryError("EINVAL", `only a memory made with shared: true has ${what}`);
    return sharing;
  }

  #make(place: ArrayPlace, pages: number): LocalMapping {
    return new LocalMapping(this.#engine, pages, place, this.#engine.sharing?.next(place.readOnly) ?? null);
  }
}
