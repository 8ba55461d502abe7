/** The sources that a memory's arrays are mapped from: what was read from them, and which are still to be closed. */

export class Sources {
  /** Bytes read so far. */
  readBytes = 0;
  /** Ends of arrays and sources that are under way. */
  readonly #ends = new Set<Promise<unknown>>();

  /** `allEnded` waits for it, however it ends. */
  waitFor(end: Promise<unknown>): void {
    const ended = end.catch(() => {}).finally(() => this.#ends.delete(ended));
    this.#ends.add(ended);
  }

  async allEnded(): Promise<void> {
    while (this.#ends.size > 0) await Promise.all(this.#ends);
  }
}
