/** The pager of a memory in another thread, asked by messages. */

import type { DeviceDriver, DeviceKernelDescriptor } from "../../device/driver.js";
import { MemoryError } from "../../mm/errors.js";
import { type ArrayHandle, checkHandle } from "../array-handle.js";
import { mappingNumber } from "../mapping-number.js";
import type { MapSourceOptions } from "../map-options.js";
import type { DeviceModule } from "../local/device-module.js";
import type { Checkpoint, Operation } from "../operation-queue.js";
import { createPageWord } from "../page-word.js";
import type { MappedPages, Mapping, Pager, PagerKernel, PagerLoss, Port, SharedMapping } from "../pager.js";
import type { Stats } from "../stats.js";
import type { UserMachine } from "../../access/user-mode/user-machine.js";
import type { Connection } from "./connection.js";
import { postedDevice } from "./posted-device.js";
import { RemoteKernel } from "./remote-kernel.js";
import { RemoteMapping } from "./remote-mapping.js";

export class RemotePager implements Pager {
  readonly pageSize: number;
  readonly identity: string;
  /** What this thread reaches by itself. */
  readonly view: UserMachine;
  readonly #connection: Connection;
  /** Ends the thread of the pager, where it was started for this memory. */
  readonly #terminate: (() => Promise<void>) | null;
  /** By the port that was handed out for each. */
  readonly #ports = new Map<Port, number>();
  #pins = 0;
  #mappings = 0;
  #kernels = 0;

  constructor(connection: Connection, terminate: (() => Promise<void>) | null = null) {
    this.pageSize = connection.welcome.pageSize;
    this.identity = connection.welcome.identity;
    this.view = connection.view;
    this.#connection = connection;
    this.#terminate = terminate;
  }

  get onEnd(): (reason: MemoryError) => void {
    return this.#connection.onEnd;
  }

  set onEnd(listener: (reason: MemoryError) => void) {
    this.#connection.onEnd = listener;
  }

  get loss(): PagerLoss | null {
    return this.#connection.loss;
  }

  get onDevice(): () => void {
    return this.#connection.onDevice;
  }

  set onDevice(listener: () => void) {
    this.#connection.onDevice = listener;
  }

  async replaceDevice(device: DeviceDriver | DeviceModule, operation: Operation): Promise<void> {
    await this.#connection.ask("replaceDevice", { device: postedDevice(device) }, { operation });
  }

  reserve(pages: number): Mapping {
    const shared = this.#next(false);
    return new RemoteMapping(this, this.#connection, pages, shared, (operation) =>
      this.#connection.ask("reserve", { shared, pages }, { operation }),
    );
  }

  /** The mapping that is a snapshot of another. */
  snapshot(of: SharedMapping, pages: number): Mapping {
    const shared = this.#next(true);
    return new RemoteMapping(this, this.#connection, pages, shared, (operation) =>
      this.#connection.ask("snapshot", { shared, pages, of: of.number }, { operation }),
    );
  }

  async mapSource(
    source: string | URL | Blob,
    options: MapSourceOptions,
    checkpoint: Checkpoint,
  ): Promise<MappedPages> {
    const shared = this.#next(false);
    const isUrl = source instanceof URL;
    const { length, pages } = await this.#connection.ask("mapSource", {
      shared,
      source: isUrl ? source.href : source,
      isUrl,
      options: { ...options },
    });
    checkpoint();
    const map = (): Promise<void> => this.#connection.ask("map", { mapping: shared.number });
    return { mapping: new RemoteMapping(this, this.#connection, pages, shared, map), length };
  }

  find(handle: ArrayHandle, pages: number): Mapping {
    checkHandle(handle, this.identity);
    return new RemoteMapping(this, this.#connection, pages, handle.mapping, null);
  }

  async createKernel({ label, module, wgsl }: DeviceKernelDescriptor): Promise<PagerKernel> {
    if (wgsl === undefined && module === undefined) {
      throw new MemoryError(
        "EINVAL",
        `kernel "${label}" is a function, which cannot be posted to the pager: give host as { module, export }, or wgsl`,
      );
    }
    const kernel = this.#kernels++;
    const code = { ...(module && { module }), ...(wgsl && { wgsl }) };
    await this.#connection.ask("createKernel", { kernel, label, code });
    return new RemoteKernel(this.#connection, kernel, label);
  }

  get stats(): Stats {
    return this.#connection.stats;
  }

  readStats(): Promise<Stats> {
    return this.#connection.ask("stats", null);
  }

  async openPort(name: string): Promise<Port> {
    const { port, number } = await this.#connection.ask("openPort", { name });
    this.#ports.set(port, number);
    return port;
  }

  async closePort(port: Port, terminated: boolean): Promise<void> {
    const number = this.#ports.get(port);
    if (number === undefined) throw new MemoryError("EINVAL", "the port was not made by this memory");
    await this.#connection.ask("closePort", { number, terminated });
  }

  /** What the pager knows the next pin by that it takes for this thread. */
  nextPin(): number {
    return this.#pins++;
  }

  async close(): Promise<void> {
    const connection = this.#connection;
    if (connection.ended === null && this.#terminate !== null) await connection.ask("destroy", null);
    connection.end(new MemoryError("EINVAL", "the memory is destroyed"));
    await this.#terminate?.();
  }

  #next(readOnly: boolean): SharedMapping {
    const number = mappingNumber(this.#connection.welcome.port, this.#mappings++);
    return { number, page: createPageWord(), readOnly };
  }
}
