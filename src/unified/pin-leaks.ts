/**
 * With `debug`: a pin that is collected without having been released holds its pages for ever, so it is reported with the
 * stack that made it.
 */

import type { Pin } from "./pin.js";

declare const console: { warn(message: string): void };

export class PinLeaks {
  readonly #registry = new FinalizationRegistry<string>((report) => console.warn(report));

  register(pin: Pin, what: string): void {
    const { stack = "" } = new Error("pinned here");
    this.#registry.register(
      pin,
      `pageferry: ${what} was collected unreleased; its pages stay in host memory\n${stack}`,
      pin,
    );
  }

  unregister(pin: Pin): void {
    this.#registry.unregister(pin);
  }
}
