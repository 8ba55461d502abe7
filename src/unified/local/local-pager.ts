/** The pager of a memory in its own thread: the engine, asked directly. */

import type { AttachedDevice } from "../../device/attached-device.js";
import type { DeviceKernelDescriptor } from "../../device/driver.js";
import { MemoryError } from "../../mm/errors.js";
import type { Machine } from "../../mm/machine.js";
import type { AddressSpace } from "../../mm/space/address-space.js";
import { exitAddressSpace } from "../../mm/space/mapping.js";
import type { MapSourceOptions } from "../map-options.js";
import type { ArrayHandle } from "../array-handle.js";
import type { Checkpoint } from "../operation-queue.js";
import type { MappedPages, Mapping, Pager, PagerKernel, Port, SharedMapping } from "../pager.js";
import type { Stats } from "../stats.js";
import type { Grants } from "../serve/port-server.js";
import { type ArrayPlace, checkRoom, ownPages } from "./array-place.js";
import type { Engine, MakeMapping } from "./engine.js";
import { loadOnDemand } from "./load-on-demand.js";
import { LocalMapping } from "./local-mapping.js";
import type { Sharing } from "./sharing.js";
import { Sources } from "./sources.js";
import { takeStats } from "./take-stats.js";

export class LocalPager implements Pager {
  readonly pageSize: number;
  onEnd: (reason: MemoryError) => void = () => {};
  readonly #engine: Engine;

  constructor(machine: Machine, attached: AttachedDevice, share: ((mm: AddressSpace) => Sharing) | null = null) {
    const mm = machine.createAddressSpace();
    this.pageSize = machine.pageSize;
    this.#engine = {
      machine,
      mm,
      attached,
      residency: null,
      bound: null,
      sources: new Sources(),
      unmapped: new Set(),
      sharing: share === null ? null : share(mm),
    };
  }

  get identity(): string | null {
    return this.#engine.sharing?.identity ?? null;
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
    const kernel = await this.#engine.attached.device.createKernel(descriptor);
    const { LocalKernel } = await loadOnDemand("kernels");
    return new LocalKernel(this.#engine, kernel, descriptor.label);
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
    const { machine, mm, attached, bound, sources, unmapped, sharing } = this.#engine;
    if (sharing !== null) {
      const reason = new MemoryError("EINVAL", "the memory is destroyed");
      this.stopKernels(reason);
      await sharing.close(reason);
    }
    for (const mapping of unmapped) mapping.fail();
    bound?.letGoOf();
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

  #shared(what: string): Sharing {
    const { sharing } = this.#engine;
    if (sharing === null) throw new MemoryError("EINVAL", `only a memory made with shared: true has ${what}`);
    return sharing;
  }

  #make(place: ArrayPlace, pages: number): LocalMapping {
    return new LocalMapping(this.#engine, pages, place, this.#engine.sharing?.next(place.readOnly) ?? null);
  }
}
