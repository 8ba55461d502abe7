/**
 * One operation at a time on the engine, first come, first served, where those of several threads arrive together: an
 * operation finds pages where the one before it left them. A thread's own operations come one by one anyway.
 */

import type { Operation } from "../operation-queue.js";

export class Exclusive {
  #running = false;
  readonly #waiting: (() => void)[] = [];

  /** Nobody's turn: what is done without a wait comes between operations. */
  get isFree(): boolean {
    return !this.#running;
  }

  async run<T>(operation: Operation, work: () => Promise<T>): Promise<T> {
    if (this.#running) await this.#turn(operation);
    return this.runNow(work);
  }

  /** The same when nobody runs: work that waits for nothing has ended when this returns. */
  runNow<T>(work: () => T): T {
    this.#running = true;
    let running: T;
    try {
      running = work();
    } catch (error) {
      this.#end();
      throw error;
    }
    if (running instanceof Promise) return running.finally(() => this.#end()) as T;
    this.#end();
    return running;
  }

  /** Resolves when it is the operation's turn, with nobody else's before it is used. */
  async #turn({ outside }: Operation): Promise<void> {
    let start = (): void => {};
    const turn = new Promise<void>((resolve) => {
      start = () => {
        this.#running = true;
        resolve();
      };
    });
    this.#waiting.push(start);
    try {
      await outside(turn);
    } catch (error) {
      const place = this.#waiting.indexOf(start);
      if (place >= 0) this.#waiting.splice(place, 1);
      else this.#end();
      throw error;
    }
  }

  #end(): void {
    this.#running = false;
    this.#waiting.shift()?.();
  }
}
