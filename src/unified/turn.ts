/**
 * Gives the event loop a turn between steps, so that timers, input and `AbortController`s of the page run while a long
 * dispatch goes on; not more often than every few milliseconds, since a turn costs time.
 */

const BETWEEN_TURNS_MS = 8;

declare const setImmediate: ((task: () => void) => void) | undefined;
declare const setTimeout: (task: () => void, milliseconds: number) => unknown;

export class Turns {
  readonly #now: () => number;
  #last: number;

  constructor(now: () => number) {
    this.#now = now;
    this.#last = now();
  }

  /** Resolves at once, or after a turn when one is due. */
  async take(): Promise<void> {
    if (this.#now() - this.#last < BETWEEN_TURNS_MS) return;
    await new Promise<void>((resolve) =>
      typeof setImmediate === "function" ? setImmediate(resolve) : setTimeout(resolve, 0),
    );
    this.#last = this.#now();
  }
}
