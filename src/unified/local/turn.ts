/**
 * Gives the event loop a turn between steps, so that timers, input and `AbortController`s of the page run while a long
 * dispatch goes on; not more often than every few milliseconds, since a turn costs time.
 */

import { type Environment, realEnvironment } from "../../mm/environment.js";

const BETWEEN_TURNS_MS = 8;

declare const setImmediate: ((task: () => void) => void) | undefined;
declare const setTimeout: (task: () => void, milliseconds: number) => unknown;

export class Turns {
  readonly #environment: Environment;
  #last: number;

  constructor(environment: Environment) {
    this.#environment = environment;
    this.#last = environment.now();
  }

  /** Resolves at once, or after a turn when one is due. */
  async take(): Promise<void> {
    const environment = this.#environment;
    if (environment.now() - this.#last < BETWEEN_TURNS_MS) return;
    await eventLoopTurn(environment);
    this.#last = environment.now();
  }
}

/** Resolves when everything had a chance to run that waits for the event loop. */
export function eventLoopTurn(environment: Environment): Promise<void> {
  // A simulation has an event loop of its own; the real one has a turn that is cheaper than its shortest sleep, a millisecond.
  if (environment.sleep !== realEnvironment.sleep) return environment.sleep(0);
  return new Promise((resolve) =>
    typeof setImmediate === "function" ? setImmediate(resolve) : setTimeout(resolve, 0),
  );
}
