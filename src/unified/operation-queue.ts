/**
 * Operations of a memory take effect in call order, awaited or not: one runs at a time, first come, first served.
 * An operation that is aborted while it waits is not started; `close` rejects all that wait and aborts the one that runs.
 */

import { MemoryError } from "../mm/errors.js";

/** Throws the abort reason, or that the memory is destroyed: called by an operation wherever it may stop. */
export type Checkpoint = () => void;

/** Waits for something that is not the memory's own, and no longer than until `Checkpoint` would throw. */
export type Outside = <T>(wait: Promise<T>) => Promise<T>;

/** An operation whose turn has come, as what it asks of others sees it. */
export interface Operation {
  readonly checkpoint: Checkpoint;
  readonly outside: Outside;
  /** Aborts it: `checkpoint` throws then. */
  readonly signal: AbortSignal | undefined;
}

interface Waiting {
  readonly signal: AbortSignal | undefined;
  readonly start: () => void;
  readonly reject: (reason: unknown) => void;
}

/** Those that wait with one signal: they share one listener, since engines warn of many. */
interface Watch {
  readonly waiting: Set<Waiting>;
  readonly onAbort: () => void;
}

export class OperationQueue {
  readonly #waiting: Waiting[] = [];
  readonly #watches = new Map<AbortSignal, Watch>();
  #running = false;
  #closed: MemoryError | null = null;
  /** Ends the waits for something outside when the queue is closed. */
  readonly #interrupts = new Set<() => void>();
  #idle: (() => void)[] = [];

  /** Runs the operation when its turn comes. */
  run<T>(run: (operation: Operation) => Promise<T>, signal?: AbortSignal): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (this.#closed !== null) return reject(this.#closed);
      checkSignal(signal);
      if (signal?.aborted === true) return reject(signal.reason);
      const checkpoint = (): void => {
        this.assertOpen();
        signal?.throwIfAborted();
      };
      const start = (): void => {
        run({ checkpoint, outside: (wait) => this.#outside(wait, checkpoint, signal), signal })
          .then(resolve, reject)
          .finally(() => this.#next());
      };
      const waiting: Waiting = { signal, start, reject };
      this.#waiting.push(waiting);
      this.#watch(waiting);
      if (!this.#running) this.#next();
    });
  }

  /** Throws what `close` was given. */
  assertOpen(): void {
    if (this.#closed !== null) throw this.#closed;
  }

  /** Nothing runs and nothing waits: what is done now is in order. */
  get quiet(): boolean {
    return !this.#running && this.#waiting.length === 0;
  }

  /** Rejects what waits, lets the running operation come to its next checkpoint, and resolves when it has ended. */
  async close(reason: MemoryError): Promise<void> {
    this.#closed ??= reason;
    for (const waiting of this.#waiting.splice(0)) {
      this.#unwatch(waiting);
      waiting.reject(reason);
    }
    for (const interrupt of this.#interrupts) interrupt();
    if (this.#running) await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  async #outside<T>(wait: Promise<T>, checkpoint: Checkpoint, signal: AbortSignal | undefined): Promise<T> {
    let interrupt = (): void => {};
    const interrupted = new Promise<void>((resolve) => {
      interrupt = resolve;
    });
    this.#interrupts.add(interrupt);
    signal?.addEventListener("abort", interrupt);
    try {
      if (this.#closed !== null || signal?.aborted === true) interrupt();
      const first = await Promise.race([wait, interrupted]);
      checkpoint();
      return first as T;
    } finally {
      this.#interrupts.delete(interrupt);
      signal?.removeEventListener("abort", interrupt);
    }
  }

  #next(): void {
    const next = this.#waiting.shift();
    this.#running = next !== undefined;
    if (next === undefined) {
      for (const resolve of this.#idle.splice(0)) resolve();
      return;
    }
    this.#unwatch(next);
    next.start();
  }

  #watch(waiting: Waiting): void {
    const { signal } = waiting;
    if (signal === undefined) return;
    let watch = this.#watches.get(signal);
    if (watch === undefined) {
      watch = { waiting: new Set(), onAbort: () => this.#abort(signal) };
      this.#watches.set(signal, watch);
      signal.addEventListener("abort", watch.onAbort);
    }
    watch.waiting.add(waiting);
  }

  #unwatch(waiting: Waiting): void {
    const { signal } = waiting;
    const watch = signal === undefined ? undefined : this.#watches.get(signal);
    if (signal === undefined || watch === undefined) return;
    watch.waiting.delete(waiting);
    if (watch.waiting.size > 0) return;
    this.#watches.delete(signal);
    signal.removeEventListener("abort", watch.onAbort);
  }

  #abort(signal: AbortSignal): void {
    for (const waiting of this.#watches.get(signal)?.waiting ?? []) {
      this.#waiting.splice(this.#waiting.indexOf(waiting), 1);
      this.#unwatch(waiting);
      waiting.reject(signal.reason);
    }
  }
}

/** EINVAL for what is no signal. */
export function checkSignal(signal: unknown): asserts signal is AbortSignal | undefined {
  if (signal === undefined || isAbortSignal(signal)) return;
  throw new MemoryError("EINVAL", `signal is ${describe(signal)}, not an AbortSignal`);
}

/** A controller in the place of its signal is the usual slip: found before anything waits for it. */
function isAbortSignal(signal: unknown): signal is AbortSignal {
  const { aborted, addEventListener, throwIfAborted } = (signal ?? {}) as Partial<AbortSignal>;
  return typeof aborted === "boolean" && typeof addEventListener === "function" && typeof throwIfAborted === "function";
}

function describe(value: unknown): string {
  return typeof value === "object" && value !== null ? (value.constructor?.name ?? "an object") : String(value);
}
