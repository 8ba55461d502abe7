/**
 * The supervisor: a thread that does nothing but look whether the pager lives and reads, while threads wait for pages. These could
 * not say that nobody answers. A pager that lives may well let a thread wait for long, until a kernel is done.
 */

import { BEATS, ENDED, READ, type WatchWords } from "./watch-words.js";
import { System } from "./system.js";

/** What the thread is started with. */
export interface Supervision {
  readonly koffi: string;
  readonly descriptor: number;
  readonly words: WatchWords;
  readonly exiting: Int32Array<SharedArrayBuffer>;
  /** Milliseconds that faults may wait unread. */
  readonly patience: number;
}

interface Files {
  readFileSync(path: string, encoding: "utf8"): string;
}

interface Threads {
  readonly workerData: Supervision;
  readonly parentPort: { postMessage(message: "ready"): void };
}

const { process } = globalThis as unknown as { process: { getBuiltinModule(name: string): unknown } };
const files = process.getBuiltinModule("node:fs") as Files;
const { workerData, parentPort } = process.getBuiltinModule("node:worker_threads") as Threads;

/** How often it looks while patience lasts. */
const looks = 10;

void supervise(workerData);

async function supervise({ koffi, descriptor, words, exiting, patience }: Supervision): Promise<void> {
  const system = await System.load(koffi, exiting);
  parentPort.postMessage("ready");
  let read = 0;
  let beats = 0;
  let silent = 0;
  // Woken when the memory is destroyed.
  while (Atomics.wait(words, ENDED, 0, patience / looks) === "timed-out") {
    const waiting = countWaiting(descriptor);
    const isStill = Atomics.load(words, BEATS) === beats && waiting.all > 0;
    const isDeaf = Atomics.load(words, READ) === read && waiting.unread > 0;
    silent = isStill || isDeaf ? silent + 1 : 0;
    beats = Atomics.load(words, BEATS);
    read = Atomics.load(words, READ);
    if (silent > looks) system.die(`the pager has not answered page faults for ${patience} milliseconds`);
  }
}

/** Threads that wait, and those of them whose messages nobody has read. */
function countWaiting(descriptor: number): { readonly all: number; readonly unread: number } {
  try {
    const text = files.readFileSync(`/proc/self/fdinfo/${descriptor}`, "utf8");
    const count = (name: string): number => Number(new RegExp(`^${name}:\\s*(\\d+)`, "m").exec(text)?.[1] ?? 0);
    return { all: count("total"), unread: count("pending") };
  } catch {
    return { all: 0, unread: 0 };
  }
}
