/** A kernel that the pager of another thread has compiled. */

import { DispatchError } from "../dispatch-error.js";
import type { DispatchReport, Progress } from "../kernel.js";
import type { Operation } from "../operation-queue.js";
import type { Dispatch, PagerKernel } from "../pager.js";
import { MemoryError } from "../../mm/errors.js";
import type { Connection } from "./connection.js";

export class RemoteKernel implements PagerKernel {
  readonly #connection: Connection;
  readonly #kernel: number;
  readonly #label: string;

  constructor(connection: Connection, kernel: number, label: string) {
    this.#connection = connection;
    this.#kernel = kernel;
    this.#label = label;
  }

  async dispatch(
    { invocations, shape, arrays, uniforms, bindings, mode, onProgress }: Dispatch,
    operation: Operation,
  ): Promise<DispatchReport> {
    for (const name of Object.keys(bindings))
      throw new MemoryError("ENOTSUP", `binding "${name}" cannot be posted to the thread that has the device`);
    const given = {
      kernel: this.#kernel,
      invocations,
      shape,
      arrays: arrays.map(({ mapping, ...array }) => ({ ...array, mapping: mapping.shared?.number ?? -1 })),
      uniforms,
      mode,
      reportsProgress: onProgress !== undefined,
    };
    if (onProgress === undefined) return this.#connection.ask("dispatch", given, { operation });
    return this.#withProgress(onProgress, invocations, operation, (watched, listener) =>
      this.#connection.ask("dispatch", given, { operation: watched, onProgress: listener }),
    );
  }

  /** A listener that throws stops the dispatch, as it does where kernel and listener are in one thread. */
  async #withProgress(
    onProgress: (progress: Progress) => void,
    invocations: number,
    operation: Operation,
    ask: (operation: Operation, listener: (progress: Progress) => void) => Promise<DispatchReport>,
  ): Promise<DispatchReport> {
    let completed = 0;
    let failure: { readonly error: unknown } | null = null;
    let stop = (): void => {};
    const stopped = new Promise<never>((_, reject) => {
      stop = () => reject(new MemoryError("EIO", "onProgress failed"));
    });
    stopped.catch(() => {});
    const listener = (progress: Progress): void => {
      if (failure !== null) return;
      ({ completed } = progress);
      try {
        onProgress(progress);
      } catch (error) {
        failure = { error };
        stop();
      }
    };
    const outside = <T>(wait: Promise<T>): Promise<T> => operation.outside(Promise.race([wait, stopped]));
    try {
      return await ask({ ...operation, outside }, listener);
    } catch (error) {
      const thrown = failure as { readonly error: unknown } | null;
      if (thrown === null) throw error;
      throw DispatchError.of(thrown.error, this.#label, completed, invocations);
    }
  }
}
