/**
 * The end of a GPUDevice, for those who wait for it: when it is lost, or its memory is closed, everything that is pending
 * rejects at once, and whatever is asked later does. WebGPU itself then pretends that work is done.
 */

import { MemoryError } from "../../mm/errors.js";
import { DeviceLostError } from "../device-lost-error.js";
import { onLoss } from "./device-loss.js";

export class DeviceGone {
  /** Resolves when the device is lost; never with `close`. */
  readonly lost: Promise<DeviceLostError>;
  readonly #name: string;
  readonly #pending = new Set<(reason: unknown) => void>();
  readonly #forget: () => void;
  #error: MemoryError | null = null;

  constructor(name: string, device: GPUDevice) {
    this.#name = name;
    let resolve: (error: DeviceLostError) => void = () => {};
    this.lost = new Promise((resolved) => {
      resolve = resolved;
    });
    this.#forget = onLoss(device, ({ reason, message }) => {
      const error = new DeviceLostError(name, reason, message);
      this.#end(error);
      resolve(error);
    });
  }

  /** Why nothing can be asked any more; null as long as it can. */
  get error(): MemoryError | null {
    return this.#error;
  }

  assertUsable(): void {
    if (this.#error !== null) throw this.#error;
  }

  /** The memory is closed. */
  close(reason = new MemoryError("ENODEV", `${this.#name} is closed`)): void {
    this.#end(reason);
  }

  /** What `work` gives; rejects as soon as the device is gone. */
  until<T>(work: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#error !== null) {
        work.catch(() => {});
        reject(this.#error);
        return;
      }
      this.#pending.add(reject);
      work.then(
        (value) => {
          this.#pending.delete(reject);
          resolve(value);
        },
        (error: unknown) => {
          this.#pending.delete(reject);
          reject(error instanceof Error ? error : new MemoryError("EIO", String(error)));
        },
      );
    });
  }

  #end(error: MemoryError): void {
    this.#forget();
    this.#error ??= error;
    for (const reject of this.#pending) reject(this.#error);
    this.#pending.clear();
  }
}
