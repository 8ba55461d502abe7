/** The pager of a memory in its own thread: the engine, asked directly. */

import type { AttachedDevice } from "../../device/attached-device.js";
import type { DeviceKernelDescriptor } from "../../device/driver.js";
import { strideOf } from "../../device/element.js";
import { MemoryError } from "../../mm/errors.js";
import type { PageCache } from "../../mm/file/page-cache.js";
import type { Machine } from "../../mm/machine.js";
import { exitAddressSpace } from "../../mm/space/mapping.js";
import { MAX_FRAMES } from "../../mm/table/entry.js";
import { BlobSource, FileSource } from "../byte-source.js";
import { checkMapping, type MapSourceOptions } from "../mapped-source.js";
import type { Checkpoint } from "../operation-queue.js";
import type { MappedPages, Mapping, Pager, PagerKernel } from "../pager.js";
import type { Stats } from "../stats.js";
import { mappedPages, ownPages } from "./array-place.js";
import { takeStats } from "./take-stats.js";
import type { Engine } from "./engine.js";
import { LocalKernel } from "./local-kernel.js";
import { LocalMapping } from "./local-mapping.js";
import { Residency } from "./residency.js";
import { Sources } from "./sources.js";

export class LocalPager implements Pager {
  readonly pageSize: number;
  readonly #engine: Engine;

  constructor(machine: Machine, attached: AttachedDevice) {
    const mm = machine.createAddressSpace();
    this.pageSize = machine.pageSize;
    this.#engine = { machine, mm, attached, residency: new Residency(attached, mm), sources: new Sources(machine) };
  }

  reserve(pages: number): Mapping {
    this.#checkRoom(pages);
    return new LocalMapping(this.#engine, pages, ownPages(this.#engine, pages));
  }

  async mapSource(
    source: string | URL | Blob,
    options: MapSourceOptions,
    checkpoint: Checkpoint,
  ): Promise<MappedPages> {
    const isBlob = typeof source === "object" && "slice" in source;
    const opened = isBlob ? new BlobSource(source) : await FileSource.open(source);
    let cache: PageCache | null = null;
    try {
      checkpoint();
      const { type, offset = 0 } = options;
      const length = checkMapping(opened, options, this.pageSize);
      const byteLength = length * strideOf(type);
      const pages = Math.ceil(byteLength / this.pageSize);
      this.#checkRoom(pages);
      cache = this.#engine.sources.createCache(opened, offset, byteLength);
      return { mapping: new LocalMapping(this.#engine, pages, mappedPages(this.#engine, cache)), length };
    } catch (error) {
      // The cache closes the source when nobody holds it any more.
      if (cache === null) await opened.close();
      else cache.release();
      throw error;
    }
  }

  async createKernel(descriptor: DeviceKernelDescriptor): Promise<PagerKernel> {
    const kernel = await this.#engine.attached.device.createKernel(descriptor);
    return new LocalKernel(this.#engine, kernel, descriptor.label);
  }

  get stats(): Stats {
    return takeStats(this.#engine);
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

  #checkRoom(pages: number): void {
    const left = MAX_FRAMES - this.#engine.machine.frames.count;
    if (pages > left) throw new MemoryError("ENOMEM", `an array of ${pages} pages exceeds the ${left} that are left`);
  }
}
