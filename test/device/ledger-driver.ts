/**
 * A driver written from the documentation of `DeviceDriver` alone: memory that JavaScript cannot reach (`run` is null), a
 * list of everything that was asked of it, and a switch to fail or to wait at each method.
 */

import type {
  CopyList,
  Device,
  DeviceDriver,
  DeviceHost,
  DeviceKernel,
  DeviceKernelDescriptor,
  HostKernel,
  KernelSlice,
  KernelStep,
} from "../../src/device/index.js";
import { viewOf } from "../../src/device/index.js";
import { MemoryError } from "../../src/mm/errors.js";
import { joined } from "../bytes.js";

export type Method = "open" | "upload" | "download" | "clear" | "createKernel" | "execute" | "close";

export class LedgerDriver implements DeviceDriver {
  readonly name = "ledger";
  readonly kind = "private";
  readonly budget: number;
  lookahead = 0;
  /** What was asked, in order: a method begins, and it ends. */
  readonly events: string[] = [];
  /** Called when a method begins; may throw, and what it gives is awaited. */
  before: (method: Method, detail: string) => void | Promise<void> = () => {};

  constructor(budget: number) {
    this.budget = budget;
  }

  async open(host: DeviceHost): Promise<Device> {
    await this.note("open", `${host.pageSize}`);
    return new LedgerDevice(this, host, Math.floor(this.budget / host.pageSize));
  }

  async note(method: Method, detail: string): Promise<void> {
    this.events.push(`${method} ${detail} begins`);
    await this.before(method, detail);
    this.events.push(`${method} ${detail} ends`);
  }
}

class LedgerDevice implements Device {
  readonly bytes = null;
  readonly lookahead: number;
  readonly frames: number;
  readonly #driver: LedgerDriver;
  readonly #host: DeviceHost;
  /** Frames that hold contents; a read of any other is a mistake of the engine. */
  readonly #memory = new Map<number, Uint8Array>();
  #last: Promise<void> = Promise.resolve();

  constructor(driver: LedgerDriver, host: DeviceHost, frames: number) {
    this.#driver = driver;
    this.#host = host;
    this.frames = frames;
    this.lookahead = driver.lookahead;
  }

  run(): null {
    return null;
  }

  async upload(copies: CopyList): Promise<void> {
    await this.#driver.note("upload", describe(copies));
    this.#each(copies, (host, device) => void this.#memory.set(device, this.#host.bytes(host, 1).slice()));
  }

  async download(copies: CopyList): Promise<void> {
    await this.#driver.note("download", describe(copies));
    this.#each(copies, (host, device) => this.#host.bytes(host, 1).set(this.#page(device)));
  }

  async clear(frames: CopyList): Promise<void> {
    await this.#driver.note("clear", describe(frames));
    this.#each(frames, (_host, device) => void this.#memory.set(device, new Uint8Array(this.#host.pageSize)));
  }

  discard(frame: number): void {
    this.#memory.delete(frame);
  }

  async createKernel(descriptor: DeviceKernelDescriptor): Promise<DeviceKernel> {
    await this.#driver.note("createKernel", descriptor.label);
    const { host } = descriptor;
    if (host === undefined) throw new MemoryError("ENOTSUP", "the ledger runs functions only");
    return { scratchBytes: 0, execute: (step) => this.#queue(host, step) };
  }

  async close(): Promise<void> {
    await this.#driver.note("close", `${this.#memory.size} frames`);
  }

  /** Steps run in the order of calls, whether the one before is done or not. */
  #queue(host: HostKernel, step: KernelStep): Promise<void> {
    const before = this.#last;
    const { first, count } = step;
    const noted = this.#driver.note("execute", `${first}+${count}`);
    const done = Promise.all([noted, before]).then(() => this.#execute(host, step));
    this.#last = done.catch(() => {});
    return done;
  }

  #execute(host: HostKernel, { first, count, slices, uniforms }: KernelStep): void {
    const scratch = slices.map((slice) => joined(Array.from(slice.frames, (frame) => this.#page(frame))).buffer);
    const views = slices.map(({ type, offset, length }, i) =>
      viewOf(type, scratch[i] ?? new ArrayBuffer(0), offset, length),
    );
    const named = <T>(value: (slice: KernelSlice, i: number) => T): Record<string, T> =>
      Object.fromEntries(slices.map((slice, i) => [slice.name, value(slice, i)]));
    host.run({ first, count, arrays: named((_, i) => views[i]), base: named((slice) => slice.first), uniforms });
    for (const [i, { frames, offset, written }] of slices.entries()) {
      const view = views[i];
      if (!written || view === undefined) continue;
      const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
      const { pageSize } = this.#host;
      for (const [page, frame] of frames.entries()) {
        const from = Math.max(page * pageSize - offset, 0);
        this.#page(frame).set(bytes.subarray(from, (page + 1) * pageSize - offset), page === 0 ? offset : 0);
      }
    }
  }

  #page(frame: number): Uint8Array {
    const page = this.#memory.get(frame);
    if (page === undefined) throw new Error(`frame ${frame} holds nothing`);
    return page;
  }

  #each({ host, device, count, length }: CopyList, act: (host: number, device: number) => void): void {
    for (let run = 0; run < length; run++) {
      for (let i = 0; i < count[run]; i++) act(host[run] + i, device[run] + i);
    }
  }
}

function describe({ device, count, length }: CopyList): string {
  return Array.from({ length }, (_, i) => `${device[i]}+${count[i]}`).join(" ");
}

/** A driver whose devices are those of another, save for what is changed. */
export function alteredDriver(
  driver: DeviceDriver,
  changes: (device: Device) => Partial<Device>,
  kind = driver.kind,
): DeviceDriver {
  const { name, budget } = driver;
  return {
    name,
    kind,
    budget,
    open: async (host) => {
      const device = await driver.open(host);
      return {
        frames: device.frames,
        bytes: device.bytes,
        lookahead: device.lookahead,
        run: (frame, count) => device.run(frame, count),
        upload: (copies) => device.upload(copies),
        download: (copies) => device.download(copies),
        clear: (frames) => device.clear(frames),
        discard: (frame) => device.discard(frame),
        createKernel: (descriptor) => device.createKernel(descriptor),
        close: () => device.close(),
        ...changes(device),
      };
    },
  };
}
