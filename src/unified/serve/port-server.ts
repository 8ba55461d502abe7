/**
 * The pager's end of a port: does for a thread what it asks, in the order in which it asks.
 *
 * Invariant: when the port is closed, from either end or because the thread is gone, what the thread held is let go.
 */

import type { UserPort } from "../../access/user-mode/index.js";
import type { PinnedPages } from "../../access/host-pins.js";
import type { DeviceKernelDescriptor } from "../../device/driver.js";
import { type HostModuleAddress, importHostKernel } from "../../device/host-module.js";
import { packThrown } from "../../device/thrown.js";
import { MemoryError } from "../../mm/errors.js";
import type { Engine } from "../local/engine.js";
import type { LocalMapping } from "../local/local-mapping.js";
import type { DeviceModule } from "../local/device-module.js";
import type { LocalLoss, LocalPager } from "../local/local-pager.js";
import type { Server, Sharing } from "../local/sharing.js";
import { type Operation, OperationQueue } from "../operation-queue.js";
import type { BoundArray, PagerKernel, PinnedRange, Port, SharedMapping } from "../pager.js";
import { Channel } from "../remote/channel.js";
import {
  type LossMessage,
  type Note,
  PROTOCOL,
  type Request,
  type Requests,
  type Welcome,
} from "../remote/messages.js";

/** What becomes of a request, and what of its answer is given away. */
type Answer<Name extends keyof Requests> = (
  given: Requests[Name]["given"],
  operation: Operation,
  request: number,
) => Promise<Requests[Name]["answer"]>;

interface HeldPin {
  readonly mapping: LocalMapping;
  readonly range: PinnedRange;
  readonly pages: PinnedPages;
}

/** What a thread may have done beside what every thread may. */
export interface Grants {
  /** Ends the memory; null for a thread that may not. */
  readonly destroy: (() => Promise<void>) | null;
  /** Gives the memory another device; null likewise. */
  readonly replaceDevice: ((device: DeviceModule, operation: Operation) => Promise<void>) | null;
  /** Finds a kernel that a thread has told of. */
  readonly findKernel: (label: string, address: HostModuleAddress) => Promise<DeviceKernelDescriptor>;
}

/** Requests that are no operations of the thread's: they wait for none. */
const APART: ReadonlySet<keyof Requests> = new Set([
  "stats",
  "residency",
  "createKernel",
  "mapSource",
  "openPort",
  "closePort",
  "destroy",
]);

/** They look after themselves. */
const APART_OPERATION: Operation = { checkpoint: () => {}, outside: (wait) => wait, signal: undefined };

export class PortServer implements Server {
  readonly name: string;
  readonly #number: number;
  readonly #pager: LocalPager;
  readonly #engine: Engine;
  readonly #sharing: Sharing;
  readonly #channel: Channel;
  readonly #queue = new OperationQueue();
  readonly #kernels = new Map<number, PagerKernel>();
  readonly #pins = new Map<number, HeldPin>();
  readonly #running = new Map<number, AbortController>();
  readonly #grants: Grants;
  readonly #userPort: UserPort;
  readonly #left: Promise<void>;
  #leave = (): void => {};
  #ended: Promise<void> | null = null;
  #gone = false;
  /** The thread behind the port ends the memory, and waits to hear that it has ended. */
  #destroying = false;

  constructor(pager: LocalPager, engine: Engine, port: Port, number: number, name: string, grants: Grants) {
    this.name = name;
    this.#number = number;
    this.#pager = pager;
    this.#engine = engine;
    this.#sharing = engine.sharing as Sharing;
    this.#grants = grants;
    this.#userPort = this.#sharing.ports.open(name);
    this.#left = new Promise((resolve) => {
      this.#leave = resolve;
    });
    this.#channel = new Channel(
      port,
      (message) => this.#receive(message as Request | Note),
      () => void this.drop(),
    );
    const welcome: Welcome = {
      pageferry: PROTOCOL,
      identity: this.#sharing.identity,
      port: number,
      pageSize: pager.pageSize,
      debug: engine.machine.debug,
      isTransparent: engine.views !== null,
      stats: pager.stats,
      loss: pack(pager.loss),
      view: this.#userPort.view(),
    };
    this.#channel.post(welcome);
  }

  get left(): Promise<void> {
    return this.#left;
  }

  tellLoss(loss: LocalLoss | null): void {
    this.#channel.post({ loss: pack(loss) });
  }

  async end(reason: MemoryError): Promise<void> {
    this.#ended ??= this.#finish(reason);
    await this.#ended;
  }

  async drop(): Promise<void> {
    await this.end(new MemoryError("EIO", `the thread behind port "${this.name}" is gone`));
    if (this.#gone) return;
    this.#gone = true;
    this.#userPort.close();
    this.#sharing.servers.delete(this.#number);
    this.#channel.close();
    this.#leave();
  }

  /** What the thread has asked for is rejected, and what the pager holds for it is let go. */
  async #finish(reason: MemoryError): Promise<void> {
    await this.#queue.close(reason);
    for (const { mapping, range, pages } of this.#pins.values()) mapping.unpin(range, pages);
    this.#pins.clear();
    this.#sharing.mappings.close(this.#number);
    if (!this.#destroying) this.#channel.post({ ended: packThrown(reason) });
  }

  #receive(message: Request | Note): void {
    if ("note" in message) this.#heed(message);
    else void this.#answer(message);
  }

  #heed(note: Note): void {
    switch (note.note) {
      case "abort":
        return this.#running.get(note.of)?.abort();
      case "unpin":
        return this.#unpin(note.pin);
      case "mark written":
        return this.#mapped(note.mapping)?.markWritten(note.first, note.end);
      case "leave":
        return void this.drop();
      case "collect":
        if (this.#gone) return;
        this.#userPort.collect();
        return this.#userPort.collectOwed(note.owed);
      default:
        return note satisfies never;
    }
  }

  async #answer({ request, ask, given }: Request): Promise<void> {
    const controller = new AbortController();
    const { signal } = controller;
    this.#running.set(request, controller);
    this.#channel.hold();
    try {
      const answer = this.#answers[ask] as Answer<typeof ask>;
      const work = (operation: Operation): ReturnType<typeof answer> => answer(given, operation, request);
      const answered = await (APART.has(ask) ? answer(given, APART_OPERATION, request) : this.#queue.run(work, signal));
      const transfer: object[] = [];
      if (answered instanceof Uint8Array) transfer.push(answered.buffer);
      else if (ask === "openPort") transfer.push((answered as Requests["openPort"]["answer"]).port);
      const growth = this.#gone ? null : this.#userPort.growth();
      this.#channel.post({ request, answer: answered, stats: this.#pager.stats, growth }, transfer);
    } catch (error) {
      this.#channel.post({ request, thrown: packThrown(error) });
    } finally {
      this.#running.delete(request);
      this.#channel.release();
    }
  }

  readonly #answers: { readonly [Name in keyof Requests]: Answer<Name> } = {
    reserve: async ({ shared, pages }, operation) => {
      const mapping = this.#made(shared, pages);
      try {
        mapping.giveWhatToMap(this.#pager.placeOf(pages));
      } catch (error) {
        mapping.fail(error);
        throw error;
      }
      await mapping.map(operation);
    },
    snapshot: async ({ shared, pages, of }, operation) => {
      const mapping = this.#made(shared, pages);
      mapping.giveWhatToMap(this.#mapping(of).snapshotPlace());
      await mapping.map(operation);
    },
    mapSource: async ({ shared, source, isUrl, options }) => {
      const from = isUrl && typeof source === "string" ? new URL(source) : source;
      let pages = 0;
      const { length } = await this.#pager.mapSource(
        from,
        options,
        () => this.#queue.assertOpen(),
        (place, count) => {
          pages = count;
          const made = this.#made(shared, count);
          made.giveWhatToMap(place);
          return made;
        },
      );
      return { length, pages };
    },
    map: ({ mapping }, operation) => this.#mapping(mapping).map(operation),
    found: ({ shared, pages }, operation) => this.#sharing.findShared(this.#pager, shared, pages).found(operation),
    unmap: async ({ mapping }, operation) => this.#mapped(mapping)?.unmap(operation),
    read: async ({ mapping, at, length }, operation) => {
      const bytes = new Uint8Array(length);
      await this.#mapping(mapping).access(at, length, false, (part, offset) => bytes.set(part, offset), operation);
      return bytes;
    },
    write: async ({ mapping, at, bytes }, operation) => {
      const use = (part: Uint8Array, offset: number): void =>
        part.set(bytes.subarray(offset, offset + part.byteLength));
      await this.#mapping(mapping).access(at, bytes.byteLength, true, use, operation);
    },
    pin: async ({ mapping: number, range, pin }, operation) => {
      const mapping = this.#mapping(number);
      const held = { ...range, owner: this.name };
      const pages = await mapping.pin(held, operation);
      this.#pins.set(pin, { mapping, range: held, pages });
      return pages;
    },
    prefetch: ({ mapping, to, first, end }, operation) => this.#mapping(mapping).prefetch(to, first, end, operation),
    residency: async ({ mapping, perPage, length }) => this.#mapped(mapping)?.residency(perPage, length) ?? [],
    writtenRuns: ({ mapping }, operation) => this.#mapping(mapping).writtenRuns(operation),
    clearWritten: ({ mapping }, operation) => this.#mapping(mapping).clearWritten(operation),
    window: ({ mapping }) => this.#mapping(mapping).window(),
    createKernel: async ({ kernel, label, code }) => {
      const { module, wgsl } = code;
      const found = module === undefined ? { label } : await this.#grants.findKernel(label, module);
      this.#kernels.set(kernel, await this.#pager.createKernel({ ...found, ...(wgsl && { wgsl }) }));
    },
    dispatch: async ({ kernel, arrays, reportsProgress, ...dispatch }, operation, request) => {
      const bound = arrays.map(({ mapping, ...array }): BoundArray => ({ ...array, mapping: this.#mapping(mapping) }));
      const onProgress = reportsProgress
        ? (progress: object): void => this.#channel.post({ request, progress })
        : undefined;
      const compiled = this.#kernels.get(kernel);
      if (compiled === undefined) throw new MemoryError("EINVAL", `there is no kernel ${kernel} of this port`);
      return compiled.dispatch({ ...dispatch, arrays: bound, bindings: {}, onProgress }, operation);
    },
    stats: async () => this.#pager.stats,
    openPort: async ({ name }) => this.#sharing.openPort(this.#pager, this.#engine, name),
    closePort: ({ number, terminated }) => this.#sharing.closePortOf(number, terminated),
    replaceDevice: async ({ device }, operation) => {
      if (this.#grants.replaceDevice === null)
        throw new MemoryError("EPERM", "only the thread that made the memory replaces its device");
      await this.#grants.replaceDevice(device, operation);
    },
    destroy: async () => {
      if (this.#grants.destroy === null)
        throw new MemoryError("EPERM", "only the thread that made the memory destroys it");
      this.#destroying = true;
      await this.#grants.destroy();
    },
  };

  /** The mapping that the thread has made, of which others may have told the pager before. */
  #made(shared: SharedMapping, pages: number): LocalMapping {
    return this.#sharing.mappings.get(shared.number) ?? this.#pager.awaited(shared, pages);
  }

  #mapped(number: number): LocalMapping | undefined {
    return this.#sharing.mappings.get(number);
  }

  #mapping(number: number): LocalMapping {
    const mapping = this.#mapped(number);
    if (mapping === undefined) throw new MemoryError("EINVAL", "the array is destroyed");
    return mapping;
  }

  #unpin(pin: number): void {
    const held = this.#pins.get(pin);
    if (held === undefined) return;
    this.#pins.delete(pin);
    held.mapping.unpin(held.range, held.pages);
  }
}

function pack(loss: LocalLoss | null): LossMessage | null {
  if (loss === null) return null;
  const runs = new Map<number, readonly number[]>();
  for (const [{ shared }, pages] of loss.runs) if (shared !== null) runs.set(shared.number, pages);
  return { error: packThrown(loss.error), runs };
}

export async function importKernel(label: string, module: HostModuleAddress): Promise<DeviceKernelDescriptor> {
  return { label, host: await importHostKernel(label, module), module };
}
