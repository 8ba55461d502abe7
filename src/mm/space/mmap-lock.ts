/**
 * The lock of an address space: many readers or one writer, first come, first served, never taken recursively. Whoever
 * changes mappings writes; faults and migrations read, also over an `await`. Counterpart: `mmap_lock`.
 */

import type { Environment } from "../environment.js";
import { assert } from "../errors.js";

interface Waiter {
  readonly writer: boolean;
  readonly wake: () => void;
}

export class MmapLock {
  readonly #environment: Environment;
  readonly #queue: Waiter[] = [];
  #readers = 0;
  #writer = false;

  constructor(environment: Environment) {
    this.#environment = environment;
  }

  get heldForReading(): boolean {
    return this.#readers > 0;
  }

  get heldForWriting(): boolean {
    return this.#writer;
  }

  get free(): boolean {
    return this.#readers === 0 && !this.#writer && this.#queue.length === 0;
  }

  /** Takes the lock for reading if nobody writes or waits to. */
  tryRead(): boolean {
    if (this.#writer || this.#queue.length > 0) return false;
    this.#readers++;
    return true;
  }

  async read(): Promise<void> {
    if (!this.tryRead()) await this.#enqueue(false);
  }

  readUnlock(): void {
    assert(this.#readers > 0, "the mmap lock is not held for reading");
    this.#readers--;
    this.#handOver();
  }

  tryWrite(): boolean {
    if (!this.free) return false;
    this.#writer = true;
    return true;
  }

  async write(): Promise<void> {
    if (!this.tryWrite()) await this.#enqueue(true);
  }

  writeUnlock(): void {
    assert(this.#writer, "the mmap lock is not held for writing");
    this.#writer = false;
    this.#handOver();
  }

  #enqueue(writer: boolean): Promise<void> {
    return new Promise((resolve) => this.#queue.push({ writer, wake: resolve }));
  }

  /** Gives the lock to the head of the queue: one writer, or all readers up to the next writer. */
  #handOver(): void {
    while (this.#queue.length > 0 && !this.#writer) {
      const { writer, wake } = this.#queue[0];
      if (writer && this.#readers > 0) return;
      this.#queue.shift();
      if (writer) this.#writer = true;
      else this.#readers++;
      this.#environment.schedule(wake);
    }
  }
}
