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
const READS_A_TURN = 32;
/** So long more faults are waited for here: where one comes right after another, that is less than a turn of the event loop. */
const WAIT_NANOSECONDS = 50_000;
const POLLIN = 1;
const TIME_NANOSECONDS = 2;
const HIGH = 2 ** 32;

declare function setImmediate(task: () => void): object;

/** What faults are told to. */
export interface FaultAnswerer {
  answer(address: number, write: boolean): void;
  /** Nothing is under way that needs the event loop. */
  readonly isIdle: boolean;
}

export class FaultMessages {
  readonly #watch: Userfaultfd;
  readonly #server: FaultAnswerer;
  readonly #fail: (error: unknown) => never;
  readonly #words: WatchWords;
  /** `struct pollfd`: the descriptor, and two halves for what is asked and what is so. */
  readonly #poll: Int32Array;
  /** `struct timespec`. */
  readonly #wait = new Int32Array(4);
  readonly #messages = new Uint32Array(MESSAGES * MESSAGE_WORDS);
  readonly #handle: { close(): void };
  #closed = false;

  constructor(watch: Userfaultfd, words: WatchWords, server: FaultAnswerer, fail: (error: unknown) => never) {
    this.#watch = watch;
    this.#words = words;
    this.#server = server;
    this.#fail = fail;
    this.#poll = new Int32Array([watch.descriptor, POLLIN]);
    this.#wait[TIME_NANOSECONDS] = WAIT_NANOSECONDS;
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
      for (let turn = 0; turn < READS_A_TURN; turn++) if (!this.#read() || !this.#waitForMore()) return;
    } catch (error) {
      this.#fail(error);
    }
  }

  /**
   * A thread that was answered often needs another page soon. False when none does, for a signal, and where the event loop is to
   * have its turn, which tells of what comes later.
   */
  #waitForMore(): boolean {
    return this.#server.isIdle && this.#watch.system.ppoll(this.#poll, 1, this.#wait, 0) > 0;
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
      this.#server.answer(messages[at + ADDRESS] + messages[at + ADDRESS + 1] * HIGH, write);
    }
    return true;
  }
}
