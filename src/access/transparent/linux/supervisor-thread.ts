/**
 * The supervisor: a thread that does nothing but look whether faults that wait to be read are being read. The threads that wait
 * could not say that nobody answers.
 */

import { ENDED, READ, type WatchWords } from "./watch-words.js";
import { System } from "./system.js";

/** What the thread is started with. */
export interface Supervision {
  readonly koffi: string;
  readonly descriptor: number;
  readonly words: WatchWords;
  /** Milliseconds that faults may wait unread. */
  readonly patience: number;
}

interface Files {
  readFileSync(path: string, encoding: "utf8"): string;
}

interface Threads {
  readonly workerData: Supervision;
}

const { process } = globalThis as unknown as { process: { getBuiltinModule(name: string): unknown } };
const files = process.getBuiltinModule("node:fs") as Files;
const { workerData } = process.getBuiltinModule("node:worker_threads") as Threads;

await supervise(workerData);

async function supervise({ koffi, descriptor, words, patience }: Supervision): Promise<void> {
  const system = await System.load(koffi);
  const looks = 10;
  let read = 0;
  let silent = 0;
  // Woken when the memory is destroyed.
  while (Atomics.wait(words, ENDED, 0, patience / looks) === "timed-out") {
    const now = Atomics.load(words, READ);
    silent = now === read && unread(descriptor) > 0 ? silent + 1 : 0;
    read = now;
    if (silent > looks) system.die(`the pager has not answered page faults for ${patience} milliseconds`);
  }
}

/** Faults whose messages nobody has read. */
function unread(descriptor: number): number {
  try {
    return Number(/^pending:\s*(\d+)/m.exec(files.readFileSync(`/proc/self/fdinfo/${descriptor}`, "utf8"))?.[1] ?? 0);
  } catch {
    return 0;
  }
}
