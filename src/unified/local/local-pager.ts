/** The pager of a memory in its own thread: the engine, asked directly. */

import type { AttachedDevice } from "../../device/attached-device.js";
import type { DeviceKernelDescriptor } from "../../device/driver.js";
import type { MemoryError } from "../../mm/errors.js";
import type { Machine } from "../../mm/machine.js";
import { exitAddressSpace } from "../../mm/space/mapping.js";
import type { MapSourceOptions } from "../map-options.js";
import type { Checkpoint } from "../operation-queue.js";
import type { MappedPages, Mapping, Pager, PagerKernel } from "../pager.js";
import type { Stats } from "../stats.js";
import { checkRoom, ownPages } from "./array-place.js";
import { takeStats } from "./take-stats.js";
import type { Engine } from "./engine.js";
import { loadOnDemand } from "./load-on-demand.js";
import { LocalMapping } from "./local-mapping.js";
import { Residency } from "./residency.js";
import { Sources } from "./sources.js";

export class LocalPager implements Pager {
  readonly pageSize: number;
  readonly #engine: Engine;

  constructor(machine: Machine, attached: AttachedDevice) {
    const mm = machine.createAddressSpace();
    this.pageSize = machine.pageSize;
    this.#engine = { machine, mm, attached, residency: new Residency(attached, mm), sources: new Sources() };
  }

  reserve(pages: number): Mapping {
    checkRoom(this.#engine.machine, pages);
    return new LocalMapping(this.#engine, pages, ownPages(this.#engine, pages));
  }

  async mapSource(
    source: string | URL | Blob,
    options: MapSourceOptions,
    checkpoint: Checkpoint,
  ): Promise<MappedPages> {
    const { mapSource } = await loadOnDemand("mapped files");
    return mapSource(this.#engine, source, options, checkpoint);
  }

  async createKernel(descriptor: DeviceKernelDescriptor): Promise<PagerKernel> {
    const kernel = await this.#engine.attached.device.createKernel(descriptor);
    const { LocalKernel } = await loadOnDemand("kernels");
    return new LocalKernel(this.#engine, kernel, descriptor.label);
  }

  get stats(): Stats {
    return takeStats(this.#engine);
  }

  stopKernels(reason: MemoryError): void {
    this.#engine.attached.device.stopKernels?.(reason);
  }

  async close(): Promise<void> {
    const { machine, mm, attached, sources } = this.#engine;
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
}
