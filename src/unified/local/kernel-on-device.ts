/**
 * A kernel as it outlives its device: compiled again for the next one, and what it cannot have, because it is lost, refused by
 * name before anything has run.
 */

import type { DeviceKernel, DeviceKernelDescriptor } from "../../device/driver.js";
import { strideOf } from "../../device/element.js";
import { DeviceLostError } from "../../device/device-lost-error.js";
import type { AttachedDevice } from "../../device/attached-device.js";
import { LostPagesError } from "../../mm/lost-pages-error.js";
import { isPoisonMarker } from "../../mm/table/entry.js";
import { DispatchError } from "../dispatch-error.js";
import { elementsOf, pagesOf } from "../footprint.js";
import type { DispatchReport } from "../kernel.js";
import { nameLost } from "../lost-elements.js";
import type { Operation } from "../operation-queue.js";
import type { Dispatch, PagerKernel } from "../pager.js";
import { alone, type Engine } from "./engine.js";
import { LocalKernel } from "./local-kernel.js";

export class KernelOnDevice implements PagerKernel {
  readonly #engine: Engine;
  readonly #descriptor: DeviceKernelDescriptor;
  #device: AttachedDevice;
  #kernel: LocalKernel;

  /** `kernel` is what the descriptor has become on a device. */
  constructor(engine: Engine, descriptor: DeviceKernelDescriptor, device: AttachedDevice, kernel: DeviceKernel) {
    this.#engine = engine;
    this.#descriptor = descriptor;
    this.#device = device;
    this.#kernel = new LocalKernel(engine, kernel, descriptor.label);
  }

  dispatch(dispatch: Dispatch, operation: Operation): Promise<DispatchReport> {
    return alone(this.#engine, operation, () => this.#dispatch(dispatch, operation));
  }

  async #dispatch(dispatch: Dispatch, operation: Operation): Promise<DispatchReport> {
    const { attached, machine } = this.#engine;
    try {
      operation.checkpoint();
      if (attached.lost !== null) throw attached.lost;
      if (attached !== this.#device) await this.#compile(attached);
      if (machine.hasLostPages) this.#refuseLost(dispatch);
      return await this.#kernel.dispatch(dispatch, operation);
    } catch (error) {
      throw this.#named(error, dispatch);
    }
  }

  async #compile(attached: AttachedDevice): Promise<void> {
    const kernel = await attached.device.createKernel(this.#descriptor);
    this.#kernel = new LocalKernel(this.#engine, kernel, this.#descriptor.label);
    this.#device = attached;
  }

  /** Of an array without a footprint nobody knows yet what is used. */
  #refuseLost({ arrays, invocations }: Dispatch): void {
    const { machine, mm } = this.#engine;
    for (const { name, type, length, footprint, mapping } of arrays) {
      if (footprint === null) continue;
      const operand = { name, footprint, length, stride: strideOf(type) };
      const { page, pages } = pagesOf(operand, elementsOf(operand, 0, invocations), machine.pageSize);
      const first = mapping.page + page;
      for (let at = first; at < first + pages; at++) {
        if (isPoisonMarker(mm.pageTable.read(at))) throw LostPagesError.at(mm, at);
      }
    }
  }

  /** A lost device is the whole truth: how far the dispatch came is lost with it. */
  #named(error: unknown, { arrays, invocations }: Dispatch): unknown {
    const cause = error instanceof DispatchError ? error.cause : error;
    if (cause instanceof DeviceLostError) return cause;
    const named = nameLost(cause, arrays, this.#engine.machine.pageSize);
    if (named === cause || !(error instanceof DispatchError)) return named === cause ? error : named;
    return DispatchError.of(named, this.#descriptor.label, error.completed, invocations);
  }
}
