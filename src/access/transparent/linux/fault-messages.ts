/**
 * Reads what the descriptor has to tell, in the thread of the pager: threads that wait for a page.
 *
 * Invariants: a message is answered before the next is read; nothing is thrown where it would be swallowed and end the reading.
 * In koffi's own callback nothing is done: a thread that is ended there, when the process exits, aborts the process.
 */

import type { Userfaultfd } from "./userfaultfd.js";
import { READ, type WatchWords } from "./watch-words.js";

const EVENT_PAGEFAULT = 0x12;
const FLAG_WRITE = 1;
const FLAG_WRITE_PROTECTED = 2;

const MESSAGE_WORDS = 8;
const FLAGS = 2;
const ADDRESS = 4;
const MESSAGES = 64;
/** How often the descriptor is read before the event loop has its turn. */
const READS_A_TURN = 256;
const HIGH = 2 ** 32;

declare function setImmediate(task: () => void): object;

export class FaultMessages {
  readonly #watch: Userfaultfd;
  readonly #answer: (address: number, write: boolean) => void;
  readonly #fail: (error: unknown) => never;
  readonly #words: WatchWords;
  readonly #messages = new Uint32Array(MESSAGES * MESSAGE_WORDS);
  readonly #handle: { close(): void };
  #closed = false;

  constructor(
    watch: Userfaultfd,
    words: WatchWords,
    answer: (address: number, write: boolean) => void,
    fail: (error: unknown) => never,
  ) {
    this.#watch = watch;
    this.#words = words;
    this.#answer = answer;
    this.#fail = fail;
    const drain = (): void => this.#drain();
    this.#handle = watch.system.koffi.node.poll(watch.descriptor, { readable: true }, () => setImmediate(drain));
  }

  /** Resolves when the event loop has forgotten the descriptor. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#handle.close();
    for (let turn = 0; turn < 2; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
  }

  #drain(): void {
    if (this.#closed) return;
    try {
      for (let turn = 0; turn < READS_A_TURN; turn++) if (!this.#read()) return;
    } catch (error) {
      this.#fail(error);
    }
  }

  /** False when there is nothing more, as far as is known: what comes later is told of again. */
  #read(): boolean {
    const messages = this.#messages;
    const bytes = this.#watch.system.read(this.#watch.descriptor, messages, messages.byteLength);
    // Nothing to read, or a signal.
    if (bytes <= 0) return false;
    const end = bytes / Uint32Array.BYTES_PER_ELEMENT;
    Atomics.add(this.#words, READ, end / MESSAGE_WORDS);
    for (let at = 0; at < end; at += MESSAGE_WORDS) {
      if ((messages[at] & 0xff) !== EVENT_PAGEFAULT) continue;
      const write = (messages[at + FLAGS] & (FLAG_WRITE | FLAG_WRITE_PROTECTED)) !== 0;
      this.#answer(messages[at + ADDRESS] + messages[at + ADDRESS + 1] * HIGH, write);
    }
    return bytes === messages.byteLength;
  }
}
