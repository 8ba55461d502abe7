/**
 * Pages of an array that other libraries use on the device: held where they are, side by side in one buffer, until they are
 * released. Released once, however often it is asked.
 */

/// <reference lib="esnext.disposable" preserve="true" />

import { MemoryError } from "../mm/errors.js";
import type { GpuBuffer } from "./gpu-buffer.js";
import type { PinMode } from "./pin.js";

/** A `GPUBufferBinding`: as it is a resource of a bind group, for a storage buffer. */
export interface DeviceBinding {
  /** The buffer, which has pages of other arrays as well: only the bytes of the binding may be used. */
  readonly buffer: GpuBuffer;
  /** The byte at which the range begins, a multiple of the device's `minStorageBufferOffsetAlignment`. */
  readonly offset: number;
  /** Bytes of the range. */
  readonly size: number;
}

/** Who holds the pages: the pager, until `letGo`, or until the array is destroyed. */
export interface HeldOnDevice {
  readonly isHeld: boolean;
  letGo(): void;
}

/** A range of an array, held on the device until `release`. */
export class DevicePin implements Disposable {
  readonly mode: PinMode;
  /** First element that is held, and how many are. */
  readonly start: number;
  readonly length: number;
  readonly #binding: DeviceBinding;
  readonly #held: HeldOnDevice;
  readonly #onRelease: () => void;
  #released = false;

  constructor(
    { mode, start, length }: Pick<DevicePin, "mode" | "start" | "length">,
    binding: DeviceBinding,
    held: HeldOnDevice,
    onRelease: () => void,
  ) {
    this.mode = mode;
    this.start = start;
    this.length = length;
    this.#binding = binding;
    this.#held = held;
    this.#onRelease = onRelease;
  }

  /**
   * Where the elements are. Throws EINVAL when they are released, by `release` or because the array or the memory is
   * destroyed. WebGPU cannot take a buffer back: submit nothing that uses it after that.
   */
  get binding(): DeviceBinding {
    if (this.released) throw new MemoryError("EINVAL", "the binding has been released");
    return this.#binding;
  }

  /** Lets the pages go; a second call does nothing. What was submitted before still finds them. */
  release(): void {
    if (this.#released) return;
    this.#released = true;
    this.#held.letGo();
    this.#onRelease();
  }

  get released(): boolean {
    return this.#released || !this.#held.isHeld;
  }

  [Symbol.dispose](): void {
    this.release();
  }
}
