/** The sources that a memory's arrays are mapped from: what was read from them, and which are still to be closed. */

import type { PageCache } from "../../mm/file/page-cache.js";
import type { Machine } from "../../mm/machine.js";
import type { ByteSource } from "../byte-source.js";
import { MappedSource } from "../mapped-source.js";

export class Sources {
  /** Bytes read so far. */
  readBytes = 0;
  readonly #machine: Machine;
  /** Ends of arrays and sources that are under way. */
  readonly #ends = new Set<Promise<unknown>>();

  constructor(machine: Machine) {
    this.#machine = machine;
  }

  /** The cache of `byteLength` bytes of a source from `offset` on; the source is closed when nothing uses the cache. */
  createCache(source: ByteSource, offset: number, byteLength: number): PageCache {
    const { pageSize } = this.#machine;
    const onRead = (bytes: number): void => void (this.readBytes += bytes);
    const onClose = (): void => this.waitFor(source.close());
    const backing = new MappedSource(source, offset, byteLength, pageSize, onRead, onClose);
    return this.#machine.createPageCache(Math.ceil(byteLength / pageSize), backing);
  }

  /** `allEnded` waits for it, however it ends. */
  waitFor(end: Promise<unknown>): void {
    const ended = end.catch(() => {}).finally(() => this.#ends.delete(ended));
    this.#ends.add(ended);
  }

  async allEnded(): Promise<void> {
    while (this.#ends.size > 0) await Promise.all(this.#ends);
  }
}
