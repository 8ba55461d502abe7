/**
 * A memory's life with several threads: whose turn it is, which mappings and which ports there are, and what threads have
 * pinned by themselves. Loaded for shared memories only.
 */

import { UserPorts } from "../../access/user-mode/index.js";
import { MemoryError } from "../../mm/errors.js";
import type { AddressSpace } from "../../mm/space/address-space.js";
import { mappingNumber } from "../mapping-number.js";
import { type ArrayHandle, checkHandle } from "../array-handle.js";
import { createPageWord } from "../page-word.js";
import { GONE, type Port, type SharedMapping } from "../pager.js";
import { createChannel } from "../remote/channel.js";
import { type Grants, importKernel, PortServer } from "../serve/port-server.js";
import type { Engine } from "./engine.js";
import { Exclusive } from "./exclusive.js";
import type { LocalMapping } from "./local-mapping.js";
import type { LocalLoss, LocalPager } from "./local-pager.js";
import { SharedMappings } from "./shared-mappings.js";

declare const crypto: { randomUUID(): string };

/** The pager's end of a port. */
export interface Server {
  /** Tells the thread that it has nothing of the memory any more, and why. */
  end(reason: MemoryError): Promise<void>;
  /** The device is lost, or another one has taken its place. */
  tellLoss(loss: LocalLoss | null): void;
  /** The thread is gone: what it held is let go. */
  drop(): Promise<void>;
  /** Resolves when the thread has left, or is gone. */
  readonly left: Promise<void>;
}

export class Sharing {
  readonly identity = crypto.randomUUID();
  readonly exclusive = new Exclusive();
  readonly mappings = new SharedMappings();
  /** What threads do by themselves. */
  readonly ports: UserPorts;
  /** By the number of the port; 0 is this thread. */
  readonly servers = new Map<number, Server>();
  /** By the port that was handed out for each. */
  readonly #numbers = new Map<Port, number>();
  #ports = 0;
  #made = 0;

  constructor(mm: AddressSpace) {
    this.ports = new UserPorts(mm);
  }

  /** What the next mapping of this thread is known by. */
  next(readOnly: boolean): SharedMapping {
    return { number: mappingNumber(0, this.#made++), page: createPageWord(), readOnly };
  }

  /** EINVAL when there is none any more. */
  find(pager: LocalPager, handle: ArrayHandle, pages: number): LocalMapping {
    checkHandle(handle, this.identity);
    return this.findShared(pager, handle.mapping, pages);
  }

  findShared(pager: LocalPager, shared: SharedMapping, pages: number): LocalMapping {
    const found = this.mappings.get(shared.number);
    if (found !== undefined) return found;
    if (!this.mappings.isToCome(shared.number) || Atomics.load(shared.page, 0) === GONE)
      throw new MemoryError("EINVAL", "the array of this handle is destroyed");
    return pager.awaited(shared, pages);
  }

  /** The other end of the port is served from now on. */
  openPort(pager: LocalPager, engine: Engine, name: string): { port: Port; number: number } {
    const { port1, port2 } = createChannel();
    const number = this.serve(pager, engine, port2, name);
    this.#numbers.set(port1, number);
    return { port: port1, number };
  }

  /** Does what is asked at the port. `grants` says what the thread behind it may have done beside what every thread may. */
  serve(pager: LocalPager, engine: Engine, port: Port, name: string, grants: Partial<Grants> = {}): number {
    const number = ++this.#ports;
    const granted = { destroy: null, replaceDevice: null, findKernel: importKernel, ...grants };
    this.servers.set(number, new PortServer(pager, engine, port, number, name, granted));
    return number;
  }

  async closePort(port: Port, terminated: boolean): Promise<void> {
    const number = this.#numbers.get(port);
    if (number === undefined) throw new MemoryError("EINVAL", "the port was not made by this memory");
    await this.closePortOf(number, terminated);
  }

  async closePortOf(number: number, terminated: boolean): Promise<void> {
    const server = this.servers.get(number);
    if (server === undefined) return;
    if (terminated) return server.drop();
    await server.end(new MemoryError("EINVAL", "the memory has closed the port of this thread"));
    await server.left;
  }

  /** Calls `mark` for the pages of `[start, end)` that other threads may write by pins of their own. */
  markPinned(start: number, end: number, mark: (first: number, end: number) => void): void {
    for (const port of this.ports) {
      for (const { page, pages, write } of port.runs()) {
        const first = Math.max(page, start);
        const last = Math.min(page + pages, end);
        if (write && first < last) mark(first, last);
      }
    }
  }

  /** No thread takes a page from now on; what is pending is rejected. */
  async close(reason: MemoryError): Promise<void> {
    this.ports.end();
    await Promise.all([...this.servers.values()].map((server) => server.end(reason)));
  }
}
