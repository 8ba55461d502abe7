/**
 * With `debug`: a pin that is collected without having been released holds its pages for ever, so it is reported with the
 * stack that made it.
 */

import type { ElementType } from "../device/element.js";
import type { Pin } from "./pin.js";

type AnyPin = Pin<ElementType, ArrayBufferLike>;

declare const console: { warn(message: string): void };

export class PinLeaks {
  readonly #registry = new FinalizationRegistry<string>((report) => console.warn(report));

  register(pin: AnyPin, what: string): void {
    const { stack = "" } = new Error("pinned here");
    this.#registry.register(
      pin,
      `pageferry: ${what} was collected unreleased; its pages stay in host memory\n${stack}`,
      pin,
    );
  }

  unregister(pin: AnyPin): void {
    this.#registry.unregister(pin);
  }
}
