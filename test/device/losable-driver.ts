/**
 * A driver whose device can be lost at any moment: around any other driver, whose memory is overwritten then, so that
 * whoever still reads it is found out. What is pending rejects at once.
 */

import { DeviceLostError, type DeviceLostReason } from "../../src/device/device-lost-error.js";
import type {
  Device,
  DeviceDriver,
  DeviceHost,
  DeviceKernel,
  PagedDispatch,
  PagedRun,
} from "../../src/device/driver.js";

/** What a lost device's memory is filled with. */
const GARBAGE = 0xee;

/** Each of these may be the one that the device does not survive. */
export type LosableOperation = "upload" | "download" | "clear" | "execute" | "round" | "createKernel";

export class LosableDriver implements DeviceDriver {
  readonly name: string;
  readonly kind: "private" | "coherent";
  readonly budget: number;
  /** Milliseconds that an operation takes. */
  latency = 0;
  /** Operations so far. */
  operations = 0;
  /** The number, from 1, of the operation that loses the device: as it begins, or as it ends, when it has done its work. */
  loseAt: { readonly operation: number; readonly done: boolean } | null = null;
  /** Called when the device is about to be lost. */
  onLose: () => void = () => {};
  /** What the operation was. */
  lostBy: LosableOperation | null = null;
  readonly #inner: DeviceDriver;
  #device: LosableDevice | null = null;

  constructor(inner: DeviceDriver) {
    this.#inner = inner;
    this.name = inner.name;
    this.kind = inner.kind;
    this.budget = inner.budget;
  }

  async open(host: DeviceHost): Promise<Device> {
    this.#device = new LosableDevice(this, await this.#inner.open(host), host);
    return this.#device;
  }

  get isLost(): boolean {
    return this.#device?.error !== null;
  }

  lose(reason: DeviceLostReason = "unknown", details = "unplugged"): DeviceLostError {
    if (!this.isLost) this.onLose();
    const error = new DeviceLostError(this.name, reason, details);
    this.#device?.lose(error);
    return error;
  }
}

class LosableDevice implements Device {
  readonly frames: number;
  readonly bytes: Uint8Array | null;
  readonly lookahead: number;
  readonly runFrames?: number;
  readonly lost: Promise<DeviceLostError>;
  error: DeviceLostError | null = null;
  readonly #driver: LosableDriver;
  readonly #inner: Device;
  readonly #host: DeviceHost;
  readonly #rejected: Promise<never>;
  #resolve: (error: DeviceLostError) => void = () => {};

  constructor(driver: LosableDriver, inner: Device, host: DeviceHost) {
    this.#driver = driver;
    this.#inner = inner;
    this.#host = host;
    this.frames = inner.frames;
    this.bytes = inner.bytes;
    this.lookahead = driver.latency > 0 ? 1 : inner.lookahead;
    if (inner.runFrames !== undefined) this.runFrames = inner.runFrames;
    this.lost = new Promise((resolve) => {
      this.#resolve = resolve;
    });
    this.#rejected = this.lost.then((error) => {
      throw error;
    });
    this.#rejected.catch(() => {});
  }

  lose(error: DeviceLostError): void {
    if (this.error !== null) return;
    this.error = error;
    this.#inner.run(0, this.frames)?.fill(GARBAGE);
    this.#resolve(error);
  }

  run(frame: number, count: number): Uint8Array | null {
    return this.#inner.run(frame, count);
  }

  upload(copies: Parameters<Device["upload"]>[0]): Promise<void> {
    return this.#operate("upload", () => this.#inner.upload(copies));
  }

  download(copies: Parameters<Device["download"]>[0]): Promise<void | undefined> {
    return this.#operate("download", () => this.#inner.download(copies));
  }

  clear(frames: Parameters<Device["clear"]>[0]): Promise<void> {
    return this.#operate("clear", () => this.#inner.clear(frames));
  }

  discard(frame: number): void {
    if (this.error === null) this.#inner.discard(frame);
  }

  async createKernel(descriptor: Parameters<Device["createKernel"]>[0]): Promise<DeviceKernel> {
    const inner = await this.#operate("createKernel", () => this.#inner.createKernel(descriptor));
    const kernel: DeviceKernel = {
      execute: (step) => this.#operate("execute", () => inner.execute(step)),
      get scratchBytes() {
        return inner.scratchBytes;
      },
    };
    const { lookahead, workgroups } = inner;
    const beginPaged = inner.beginPaged?.bind(inner);
    if (beginPaged === undefined)
      return { ...kernel, ...(lookahead !== undefined && { lookahead }), ...(workgroups && { workgroups }) };
    return {
      ...kernel,
      ...(lookahead !== undefined && { lookahead }),
      ...(workgroups && { workgroups }),
      beginPaged: async (dispatch: PagedDispatch): Promise<PagedRun> => {
        this.#assertThere();
        const run = await beginPaged(dispatch);
        return {
          units: run.units,
          mostUnits: run.mostUnits,
          map: (page, frame, writable) => run.map(page, frame, writable),
          round: (units) => this.#operate("round", () => run.round(units)),
          close: () => run.close(),
        };
      },
    };
  }

  stopKernels(reason: Parameters<NonNullable<Device["stopKernels"]>>[0]): void {
    this.#inner.stopKernels?.(reason);
  }

  close(): Promise<void> {
    return this.#inner.close();
  }

  /** The inner device works at once, so nothing of it is under way when the operation rejects. */
  async #operate<T>(what: LosableOperation, work: () => Promise<T> | T): Promise<T> {
    this.#assertThere();
    const { latency, loseAt } = this.#driver;
    const isLast = ++this.#driver.operations === loseAt?.operation;
    if (latency > 0) await Promise.race([this.#host.environment.sleep(latency), this.#rejected]);
    if (isLast && !loseAt.done) this.#loseBy(what);
    this.#assertThere();
    const result = await Promise.race([work(), this.#rejected]);
    if (isLast && loseAt.done) this.#loseBy(what);
    this.#assertThere();
    return result;
  }

  #loseBy(what: LosableOperation): void {
    this.#driver.lostBy = what;
    this.#driver.lose();
  }

  #assertThere(): void {
    if (this.error !== null) throw this.error;
  }
}
