/**
 * Operations of a memory take effect in call order, awaited or not: one runs at a time, first come, first served.
 * An operation that is aborted while it waits is not started; `close` rejects all that wait and aborts the one that runs.
 */

import type { MemoryError } from "../mm/errors.js";

/** Throws the abort reason, or that the memory is destroyed: called by an operation wherever it may stop. */
export type Checkpoint = () => void;

interface Waiting {
  readonly start: () => void;
  readonly reject: (reason: unknown) => void;
}

export class OperationQueue {
  readonly #waiting: Waiting[] = [];
  #running = false;
  #closed: MemoryError | null = null;
  #idle: (() => void)[] = [];

  /** Runs the operation when its turn comes. */
  run<T>(operation: (checkpoint: Checkpoint) => Promise<T>, signal?: AbortSignal): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (this.#closed !== null) return reject(this.#closed);
      if (signal?.aborted === true) return reject(signal.reason);
      const onAbort = (): void => {
        const index = this.#waiting.indexOf(waiting);
        if (index < 0) return;
        this.#waiting.splice(index, 1);
        reject(signal?.reason);
      };
      const checkpoint = (): void => {
        if (this.#closed !== null) throw this.#closed;
        signal?.throwIfAborted();
      };
      const waiting: Waiting = {
        start: () => {
          signal?.removeEventListener("abort", onAbort);
          operation(checkpoint)
            .then(resolve, reject)
            .finally(() => this.#next());
        },
        reject: (reason) => {
          signal?.removeEventListener("abort", onAbort);
          reject(reason);
        },
      };
      signal?.addEventListener("abort", onAbort, { once: true });
      this.#waiting.push(waiting);
      if (!this.#running) this.#next();
    });
  }

  /** Nothing runs and nothing waits: what is done now is in order. */
  get quiet(): boolean {
    return !this.#running && this.#waiting.length === 0;
  }

  /** Rejects what waits, lets the running operation come to its next checkpoint, and resolves when it has ended. */
  async close(reason: MemoryError): Promise<void> {
    this.#closed ??= reason;
    for (const { reject } of this.#waiting.splice(0)) reject(reason);
    if (this.#running) await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  #next(): void {
    const next = this.#waiting.shift();
    this.#running = next !== undefined;
    if (next !== undefined) next.start();
    else for (const resolve of this.#idle.splice(0)) resolve();
  }
}
