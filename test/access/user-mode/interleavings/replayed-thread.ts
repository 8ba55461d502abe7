/**
 * A thread in user mode that is advanced step by step, though it is a function that runs to its end: it is run from its start
 * with the results that its atomic operations had so far, and is stopped by an exception before the operation after them.
 *
 * A step is one operation on a word that somebody else may change or look at, with all that the thread does by itself up to
 * the next one. What it writes to its own port it writes to a copy, which is empty when it starts again, and is shown to the
 * pager after each step. Where it stands after given results is found out once, and remembered.
 */

import assert from "node:assert/strict";
import { RETRIES, RING, RING_READ, SLOT_WORDS, SLOTS } from "../../../../src/access/user-mode/port-words.js";
import type { SharedView } from "../../../../src/access/user-mode/shared-view.js";
import { UserMachine } from "../../../../src/access/user-mode/user-machine.js";
import { interceptBy } from "./intercepted-atomics.js";

/** What a thread does with the machine. It says what it holds, between its operations. */
export type Program = (user: UserMachine, thread: ReplayedThread) => void;

/** Slots that a thread of these programs can come to use; it takes the first ones first. */
export const USED_SLOTS = 4;
const SHOWN_END = SLOTS + USED_SLOTS * SLOT_WORDS;

const STOP = new Error("stopped before the next operation");

/** What a word is to a thread: its entry, a reference count, the contents of a page, a slot; null when nobody else cares. */
export type WordKind = "entry" | "references" | "contents" | "slot" | null;
export type KindOf = (words: Int32Array, at: number, ownPort: boolean) => WordKind;

/** Where a thread stands. */
interface Position {
  /** Results of its operations so far. */
  readonly results: readonly number[];
  /** Does the operation before which it stands; null when it has ended. */
  readonly perform: (() => number) | null;
  /**
   * All that decides what it does from here on, and nothing else: what it has told in its port, the operation before which
   * it stands with its operands, and what it still knows of the entry. Counts that it read and has done with are not.
   */
  readonly state: string;
  /** What its port says. */
  readonly told: Int32Array;
  readonly held: number;
  readonly outcome: string;
  /** Where it stands next, by the result of that operation. */
  readonly next: Map<number, Position>;
}

export class ReplayedThread {
  readonly name: string;
  /** The frame that it has pinned; -1 for none. */
  held = -1;
  /** How it went, in a word, once it has ended. */
  outcome = "";
  /** What it saw of the entry, last. */
  lastLook = 0;
  readonly #program: Program;
  readonly #view: SharedView;
  readonly #port: Int32Array;
  readonly #own: Int32Array;
  readonly #kindOf: KindOf;
  readonly #start: Position;
  #position: Position;

  constructor(name: string, view: SharedView, program: Program, kindOf: KindOf) {
    this.name = name;
    this.#program = program;
    this.#port = new Int32Array(view.port);
    const own = new SharedArrayBuffer(view.port.byteLength);
    this.#own = new Int32Array(own);
    this.#view = { ...view, port: own };
    this.#kindOf = kindOf;
    this.#start = this.#positionAfter([]);
    this.#position = this.#start;
  }

  get finished(): boolean {
    return this.#position.perform === null;
  }

  get retries(): number {
    return this.#position.told[RETRIES];
  }

  get state(): string {
    return this.#position.state;
  }

  /** Begins anew: it stands before its first step. */
  start(): void {
    this.#port.fill(0, 0, SHOWN_END);
    this.#stand(this.#start);
  }

  /** One more step. */
  advance(): void {
    const { perform, results, next } = this.#position;
    assert.ok(perform !== null, "a thread that has ended takes a step");
    const result = perform();
    let position = next.get(result);
    if (position === undefined) {
      position = this.#positionAfter([...results, result]);
      next.set(result, position);
    }
    this.#stand(position);
  }

  #stand(position: Position): void {
    this.#position = position;
    this.held = position.held;
    this.outcome = position.outcome;
    const read = this.#port[RING_READ];
    this.#port.set(position.told);
    this.#port[RING_READ] = read;
  }

  #positionAfter(given: readonly number[]): Position {
    const results = [...given];
    this.#own.fill(0, 0, SHOWN_END);
    this.held = -1;
    this.outcome = "";
    this.lastLook = 0;
    let [looks, accesses, done] = [0, 0, 0];
    let perform: (() => number) | null = null;
    let pending = "";
    const before = interceptBy((asked) => {
      const { words, at } = asked;
      const ownPort = words.buffer === this.#own.buffer;
      const kind = this.#kindOf(words, at, ownPort);
      if (done === results.length) {
        if (kind !== null) {
          perform = asked.perform;
          pending = [asked.operation, kind, kind === "entry" ? "" : at, ...asked.operands].join(" ");
          throw STOP;
        }
        results.push(ownPort && at === RING_READ ? this.#port[RING_READ] : asked.perform());
      } else if (ownPort) asked.perform();
      const result = results[done++];
      if (kind === "contents") accesses++;
      if (kind === "entry") {
        this.lastLook = result;
        if (accesses === 0) looks++;
      }
      return result;
    });
    try {
      this.#program(new UserMachine(this.#view), this);
    } catch (error) {
      if (error !== STOP) throw error;
    } finally {
      interceptBy(before);
    }
    const { held, outcome, lastLook } = this;
    const told = this.#own.slice(0, SHOWN_END);
    const port = [...told.subarray(0, RING), ...told.subarray(SLOTS)].map((each) => (each === 0 ? "" : each)).join();
    // Before it has reached the contents it compares what it sees of the entry with what it saw.
    const looked = accesses === 0 ? `${looks} ${lastLook}` : "";
    const state = perform === null ? outcome : [port, pending, accesses, looked].join("/");
    return { results, perform, state, told, held, outcome, next: new Map() };
  }
}
