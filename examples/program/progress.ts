/**
 * What the job is doing, on standard error: one bar that redraws itself on a terminal, one plain line at each phase's
 * end elsewhere. Invariant: nothing but whole lines stays on the screen, also when a phase breaks off.
 */

import type { WriteStream } from "node:tty";
import { count, fileSize } from "./sizes.js";

export interface Phase {
  update(done: number): void;
  end(): void;
}

export type Unit = "bytes" | "words" | "share";

type Output = Pick<WriteStream, "write"> & Partial<Pick<WriteStream, "isTTY" | "columns">>;

const redrawEvery = 100;
const nameWidth = 9;

export class Progress {
  readonly #output: Output;
  readonly #now: () => number;
  #current: {
    name: string;
    unit: Unit;
    total: number;
    done: number;
    started: number;
    drawn: number;
    timer: NodeJS.Timeout | undefined;
  } | null = null;
  /** Milliseconds each finished phase took. */
  readonly took = new Map<string, number>();

  constructor(output: Output, now: () => number = () => performance.now()) {
    this.#output = output;
    this.#now = now;
  }

  note(text: string): void {
    this.#erase();
    this.#output.write(`${text}\n`);
  }

  phase(name: string, total: number, unit: Unit = "bytes"): Phase {
    this.stop();
    // The clock goes on where nothing is heard of for a while, such as a download that starts slowly.
    const timer = this.#output.isTTY ? setInterval(() => this.#draw(), 5 * redrawEvery).unref() : undefined;
    const phase = { name, unit, total, done: 0, started: this.#now(), drawn: -Infinity, timer };
    this.#current = phase;
    this.#draw();
    return {
      update: (done) => {
        if (this.#current !== phase) return;
        phase.done = done;
        if (this.#now() - phase.drawn >= redrawEvery) this.#draw();
      },
      end: () => {
        if (this.#current !== phase) return;
        this.stop();
        const took = this.#now() - phase.started;
        this.took.set(name, took);
        const what = unit === "share" ? "" : `${amount(unit, total)} in `;
        this.#output.write(`${name.padEnd(nameWidth)} ${what}${seconds(took)}\n`);
      },
    };
  }

  /** Takes the bar off the screen; for a phase that does not come to its end. */
  stop(): void {
    clearInterval(this.#current?.timer);
    this.#erase();
    this.#current = null;
  }

  #draw(): void {
    if (!this.#output.isTTY || this.#current === null) return;
    const { name, unit, total, done, started } = this.#current;
    this.#current.drawn = this.#now();
    const share = total === 0 ? 1 : Math.min(1, done / total);
    const head = `${name.padEnd(nameWidth)} `;
    const progress =
      unit === "share" ? "" : `  ${unit === "words" ? count(done) : fileSize(done)} of ${amount(unit, total)}`;
    const tail = ` ${String(Math.floor(share * 100)).padStart(3)}%${progress}  ${Math.floor((this.#now() - started) / 1000)} s`;
    const room = Math.min(40, (this.#output.columns ?? 80) - head.length - tail.length - 1);
    const filled = Math.round(share * room);
    const bar = room < 5 ? "" : "█".repeat(filled) + "░".repeat(room - filled);
    this.#output.write(`\r\x1b[K${head}${bar}${tail}`);
  }

  #erase(): void {
    if (this.#output.isTTY && this.#current !== null) this.#output.write("\r\x1b[K");
  }
}

export function seconds(milliseconds: number): string {
  return milliseconds < 99.5
    ? `${milliseconds.toFixed(milliseconds < 9.95 ? 1 : 0)} ms`
    : `${(milliseconds / 1000).toFixed(2)} s`;
}

function amount(unit: Unit, value: number): string {
  return unit === "bytes" ? fileSize(value) : `${count(value)} words`;
}
