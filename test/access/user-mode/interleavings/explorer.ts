/**
 * Every interleaving of two threads in user mode and the pager over one page, with the real code of all three. The pager
 * cannot be suspended: before each of its operations on a word that the threads change or read, any of them may take steps.
 * What runs between two such operations commutes with what the others do.
 *
 * Depth first: a run is given by its choices; the next one shares all but the last. A state that was met before (the words,
 * and what each of the three has seen so far, which is all that it can act upon) is not gone on from.
 */

import assert from "node:assert/strict";
import { SLOT_STATE, SLOT_WORDS, SLOTS } from "../../../../src/access/user-mode/port-words.js";
import { FRAME_WORDS, GUP_PIN_COUNTING_BIAS, REFCOUNT } from "../../../../src/mm/frames/frames.js";
import { isMigrationEntry, PTE_EXCLUSIVE, PTE_FRAME_SHIFT, PTE_PRESENT } from "../../../../src/mm/table/entry.js";
import { ZONE_SYSTEM } from "../../../../src/mm/frames/zone.js";
import { TABLE_MASK } from "../../../../src/mm/table/page-table.js";
import { checkShared, type SharedSpace } from "../threads.js";
import { type Interceptor, interceptBy, withInterceptedAtomics } from "./intercepted-atomics.js";
import { type KindOf, type Program, ReplayedThread, USED_SLOTS, type WordKind } from "./replayed-thread.js";

const PIN = GUP_PIN_COUNTING_BIAS;

/** A page, what the pager does with it, and what two threads do with it meanwhile. */
export interface Scenario {
  readonly name: string;
  readonly programs: readonly Program[];
  /** Does the pager look at the slots of threads? */
  readonly looksAtSlots?: boolean;
  /** May the page be gone when the pager is done, though a thread has it pinned? */
  readonly unmaps?: boolean;
  /** Made once for all runs. */
  open(): Promise<Stage>;
}

export interface Stage {
  readonly space: SharedSpace;
  /** Brings the page to where it is when a run begins: present, the mapping's own. */
  reset(): Promise<void>;
  /** The pager's part. Words that say how it went. */
  act(): Promise<string>;
  /** Is this host memory, where pages are? */
  isContents(buffer: ArrayBufferLike): boolean;
  /** Bytes that stand for the contents of every place where the page may be. */
  contents(): readonly number[];
  /** When all have ended. */
  check(threads: readonly ReplayedThread[]): Promise<void>;
}

export interface Exploration {
  readonly runs: number;
  /** Runs that went on to an end that was not known. */
  readonly ends: number;
  readonly states: number;
  /** How the runs ended: what the pager did and how the threads fared, with the number of runs. */
  readonly outcomes: ReadonlyMap<string, number>;
  /** Ends at which a thread had taken a reference and given it back. */
  readonly retried: number;
}

interface Choice {
  taken: number;
  readonly options: number;
  readonly state: string;
}

export function explore(scenario: Scenario): Promise<Exploration> {
  return withInterceptedAtomics(async () => new Explorer(scenario, await scenario.open()).explore());
}

class Explorer {
  readonly #scenario: Scenario;
  readonly #stage: Stage;
  readonly #path: Choice[] = [];
  readonly #seen = new Set<string>();
  #threads: ReplayedThread[] = [];
  #depth = 0;
  /** The run has come to a state that was gone on from before: it only ends. */
  #known = false;
  #pagerIsDone = false;
  /** What the pager has done and seen, and is about to do. */
  #history = "";
  #pending = "";
  #outcome = "";
  /** The page's entry. */
  #entries: Int32Array = new Int32Array(0);
  #at = 0;
  /** Frames of host memory that any of the three has looked at. */
  readonly #frames = new Set<number>();
  /** The frame table, before and after it has grown. */
  readonly #frameTables = new Set<ArrayBufferLike>();
  readonly #ports = new Set<ArrayBufferLike>();
  #violation: Error | null = null;

  constructor(scenario: Scenario, stage: Stage) {
    this.#scenario = scenario;
    this.#stage = stage;
  }

  async explore(): Promise<Exploration> {
    const outcomes = new Map<string, number>();
    let [runs, ends, retried] = [0, 0, 0];
    const ports = this.#scenario.programs.map((_, i) => this.#stage.space.ports.open(`thread ${i + 1}`));
    for (const port of ports) this.#ports.add(port.view().port);
    const kindOf: KindOf = (words, at, ownPort) => this.#kindOf(words, at, ownPort);
    await this.#stage.reset();
    this.#find();
    this.#threads = this.#scenario.programs.map(
      (program, i) => new ReplayedThread(ports[i].name, ports[i].view(), program, kindOf),
    );
    do {
      runs++;
      await this.#stage.reset();
      this.#find();
      const outcome = await this.#run();
      if (this.#known) continue;
      ends++;
      const all = [outcome, ...this.#threads.map((thread) => thread.outcome)].join(", ");
      outcomes.set(all, (outcomes.get(all) ?? 0) + 1);
      if (this.#threads.some((thread) => thread.retries > 0)) retried++;
    } while (this.#next());
    return { runs, ends, states: this.#seen.size, outcomes, retried };
  }

  async #run(): Promise<string> {
    this.#depth = 0;
    this.#known = this.#pagerIsDone = false;
    this.#history = "";
    for (const thread of this.#threads) thread.start();
    interceptBy(this.#pagerOperation);
    try {
      this.#outcome = await this.#stage.act();
      this.#pagerIsDone = true;
      this.#letOthersAct();
    } catch (error) {
      // The pager may have gone on, and met with something else, after a check had failed.
      throw this.#violation ?? error;
    } finally {
      interceptBy(null);
    }
    if (this.#violation !== null) throw this.#violation;
    for (const port of this.#stage.space.ports) port.collect();
    if (!this.#known) {
      for (const port of this.#stage.space.ports) {
        assert.deepEqual([...port.runs()], [], `${port.name} has slots that are not free`);
        port.forEachHeld((frame) => assert.fail(`${port.name} has a reference to frame ${frame} left`));
      }
      await this.#stage.check(this.#threads);
      checkShared(this.#stage.space);
    }
    return this.#outcome;
  }

  /** The choices of the next run; false when there is none. */
  #next(): boolean {
    const path = this.#path;
    while (path.length > 0 && path[path.length - 1].taken === path[path.length - 1].options - 1) path.pop();
    if (path.length === 0) return false;
    path[path.length - 1].taken++;
    return true;
  }

  readonly #pagerOperation: Interceptor = ({ operation, words, at, operands, perform }) => {
    const kind = this.#kindOf(words, at, false);
    if (kind === null) return perform();
    this.#pending = [operation, kind, kind === "entry" ? "" : at, ...operands].join(" ");
    this.#letOthersAct();
    // What it has read of the entry without an operation is as it was at one of these moments.
    const entry = this.#entries[this.#at];
    const result = perform();
    // No decision of the pager asks how many pins there are, only whether there are any.
    const seen = kind === "references" ? (result % PIN) + (result >= PIN ? PIN : 0) : result;
    this.#history += `${this.#pending} ${entry} ${seen};`;
    return result;
  };

  /** Lets threads take steps until it is the pager's turn; once the pager is done, until they are as well. */
  #letOthersAct(): void {
    const before = interceptBy(null);
    try {
      for (;;) {
        if (this.#known) {
          if (this.#pagerIsDone) for (const thread of this.#threads) while (!thread.finished) thread.advance();
          return;
        }
        this.#checkHeld();
        const threads = this.#threads.filter((thread) => !thread.finished);
        const options = threads.length + (this.#pagerIsDone ? 0 : 1);
        if (threads.length === 0) return;
        const chosen = this.#choose(options) - (this.#pagerIsDone ? 0 : 1);
        if (this.#known) continue;
        if (chosen < 0) return;
        threads[chosen].advance();
      }
    } catch (error) {
      this.#violation ??= error as Error;
      throw error;
    } finally {
      interceptBy(before);
    }
  }

  #choose(options: number): number {
    const path = this.#path;
    if (this.#depth < path.length) {
      const choice = path[this.#depth++];
      assert.equal(this.#state(), choice.state, "the same choices led elsewhere");
      return choice.taken;
    }
    const state = this.#state();
    if (this.#seen.has(state)) {
      this.#known = true;
      return 0;
    }
    this.#seen.add(state);
    path.push({ taken: 0, options, state });
    this.#depth++;
    return 0;
  }

  #state(): string {
    const { frames, zones } = this.#stage.space.machine;
    const mapped = this.#entries[this.#at] >>> PTE_FRAME_SHIFT;
    if (mapped !== 0 && zones.kindOf(mapped) === ZONE_SYSTEM) this.#frames.add(mapped);
    const references: number[] = [];
    for (const frame of [...this.#frames].sort((a, b) => a - b)) {
      references.push(frame, frames.refcount(frame), frames.flags(frame));
    }
    const words = [this.#entries[this.#at], ...references, ...this.#stage.contents()].join();
    const pager = this.#pagerIsDone ? `${this.#outcome} ${this.#history}` : `${this.#history} ${this.#pending}`;
    return [words, pager, ...this.#threads.map((thread) => thread.state)].join("|");
  }

  /** A page that a thread has pinned is in memory, its own, and nobody else's. */
  #checkHeld(): void {
    const { frames } = this.#stage.space.machine;
    const word = this.#entries[this.#at];
    const inTransit = (word === 0 && !(this.#pagerIsDone && this.#scenario.unmaps !== true)) || isMigrationEntry(word);
    for (const { held, name } of this.#threads) {
      if (held < 0) continue;
      const holders = this.#threads.filter((thread) => thread.held === held).length;
      assert.ok(frames.refcount(held) >= holders * PIN, `${name} has pinned frame ${held}, free`);
      const own = (word & (PTE_PRESENT | PTE_EXCLUSIVE)) === (PTE_PRESENT | PTE_EXCLUSIVE);
      const there = own && word >>> PTE_FRAME_SHIFT === held;
      assert.ok(there || inTransit, `${name} has pinned frame ${held}, and the entry is ${word.toString(16)}`);
    }
  }

  #find(): void {
    const { machine, mm, page } = this.#stage.space;
    const leaf = mm.pageTable.leaf(page);
    this.#entries = mm.pageTable.chunkOf(leaf);
    this.#at = mm.pageTable.baseOf(leaf) + (page & TABLE_MASK);
    this.#frameTables.add(machine.frames.words.buffer);
    this.#frames.clear();
    this.#frames.add(this.#entries[this.#at] >>> PTE_FRAME_SHIFT);
  }

  /** A word of which the order of operations matters, or null. */
  #kindOf(words: Int32Array, at: number, ownPort: boolean): WordKind {
    const { machine } = this.#stage.space;
    const { buffer } = words;
    if (buffer === this.#entries.buffer) return at === this.#at ? "entry" : null;
    if (this.#frameTables.has(buffer)) {
      const frame = Math.floor(at / FRAME_WORDS);
      if (at % FRAME_WORDS !== REFCOUNT || frame === 0 || machine.zones.kindOf(frame) !== ZONE_SYSTEM) return null;
      this.#frames.add(frame);
      return "references";
    }
    if (!ownPort && !this.#ports.has(buffer)) return this.#stage.isContents(buffer) ? "contents" : null;
    if (this.#scenario.looksAtSlots !== true || at < SLOTS || at >= SLOTS + USED_SLOTS * SLOT_WORDS) return null;
    return (at - SLOTS) % SLOT_WORDS === SLOT_STATE ? "slot" : null;
  }
}
