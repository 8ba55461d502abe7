/**
 * With `debug`: a pin, of host memory or of the device, that is collected without having been released holds its pages for ever, so it is reported with the
 * stack that made it.
 */

import type { PinnedRange } from "./pager.js";

declare const console: { warn(message: string): void };

export class PinLeaks {
  readonly #registry = new FinalizationRegistry<string>((report) => console.warn(report));

  /** `where` its pages stay. */
  register(pin: object, what: string, where: string): void {
    const { stack = "" } = new Error("pinned here");
    this.#registry.register(pin, `pageferry: ${what} was collected unreleased; its pages stay ${where}\n${stack}`, pin);
  }

  unregister(pin: object): void {
    this.#registry.unregister(pin);
  }
}

/** For messages. */
export function namePinned({ label, start, length }: Pick<PinnedRange, "label" | "start" | "length">): string {
  return `"${label}", elements ${start} to ${start + length}`;
}
