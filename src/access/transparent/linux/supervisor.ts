/** Starts the supervisor: a thread that ends the process when the pager does not answer any more. */

import { MemoryError } from "../../../mm/errors.js";
import type { Supervision } from "./supervisor-thread.js";
import { ENDED } from "./watch-words.js";

interface SupervisorWorker {
  unref(): void;
  on(event: "message", listener: () => void): void;
  on(event: "error", listener: (error: unknown) => void): void;
}

type SupervisorConstructor = new (url: URL, options: { workerData: Supervision; stderr: boolean }) => SupervisorWorker;

/**
 * Resolves, with what ends it, when it is at work: a process that exits while a thread of it loads `koffi` is aborted. `onError` is
 * told when it cannot do its work.
 */
export async function startSupervisor(
  supervision: Supervision,
  onError: (error: unknown) => void,
): Promise<() => void> {
  const { process } = globalThis as { process?: { getBuiltinModule?(name: string): unknown } };
  const threads = process?.getBuiltinModule?.("node:worker_threads") as { Worker: SupervisorConstructor } | undefined;
  if (threads === undefined) throw new MemoryError("ENOTSUP", "the supervisor of the pager needs the threads of Node");
  const { Worker } = threads;
  const worker = new Worker(new URL("./supervisor-thread.js", import.meta.url), {
    workerData: supervision,
    stderr: false,
  });
  worker.on("error", onError);
  await new Promise<void>((resolve) => worker.on("message", resolve));
  worker.unref();
  return () => {
    Atomics.store(supervision.words, ENDED, 1);
    Atomics.notify(supervision.words, ENDED);
  };
}
