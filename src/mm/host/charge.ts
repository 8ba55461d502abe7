/** A budget in pages, checked exactly: usage never exceeds the limit. Counterpart: `mm/page_counter.c`. */

import { assert, MemoryError } from "../errors.js";

export class Charge {
  usage = 0;
  #limit: number;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get limit(): number {
    return this.#limit;
  }

  set limit(pages: number) {
    if (!(pages >= this.usage))
      throw new MemoryError("EBUSY", `a limit of ${pages} pages is below the ${this.usage} in use`);
    this.#limit = pages;
  }

  tryCharge(pages: number): boolean {
    if (this.usage + pages > this.#limit) return false;
    this.usage += pages;
    return true;
  }

  uncharge(pages: number): void {
    this.usage -= pages;
    assert(this.usage >= 0, "more pages were uncharged than charged");
  }
}
