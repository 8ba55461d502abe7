/**
 * Threads: module workers, the same in Node and in browsers, and requests to them. The worker's side is `answerRequests`.
 *
 * Invariants: every request is settled, by its answer or, in whatever way the thread ends, by the reason for that. A thread
 * keeps a process alive only while a request is pending or somebody holds it.
 */

import { MemoryError } from "../mm/errors.js";
import type { Reply } from "./answer-requests.js";
import { unpackThrown } from "./thrown.js";

/** Of a worker of either kind, what is used here. */
export interface StartedWorker {
  postMessage(message: unknown, transfer: readonly object[]): void;
  terminate(): unknown;
}

/** `Worker` of a browser, or that of Node's `worker_threads`. */
export type WorkerConstructor = new (url: URL, options: { type: "module"; name?: string }) => StartedWorker;

/**
 * Starts the worker by an expression that bundlers know, so it has to stand where the worker's file is known:
 * `(Worker) => new Worker(new URL("./kernel-worker.js", import.meta.url), { type: "module" })`.
 */
export type StartWorker = (Worker: WorkerConstructor) => StartedWorker;

interface NodeWorker extends StartedWorker {
  on(event: "message", listener: (message: Reply) => void): void;
  on(event: "error" | "messageerror", listener: (error: unknown) => void): void;
  on(event: "exit", listener: (code: number) => void): void;
  ref(): void;
  unref(): void;
}

interface BrowserWorker extends StartedWorker {
  addEventListener(type: "message", listener: (event: { readonly data: Reply }) => void): void;
  addEventListener(type: "messageerror", listener: () => void): void;
  addEventListener(type: "error", listener: (event: ErrorEventLike) => void): void;
}

/** Without a message when the script could not be loaded. */
interface ErrorEventLike {
  readonly message?: string;
  preventDefault(): void;
}

interface Pending {
  readonly resolve: (answer: unknown) => void;
  readonly reject: (reason: unknown) => void;
}

export class Thread {
  readonly name: string;
  readonly #worker: StartedWorker;
  readonly #onEnd: (reason: MemoryError) => void;
  readonly #pending = new Map<number, Pending>();
  #requests = 0;
  #holds = 0;
  #ended: MemoryError | null = null;

  /**
   * Starts a thread. `onEnd` is told once why it ended, before its pending requests are. ENOTSUP where the runtime has no
   * workers; that the script cannot be loaded is known later, and ends the thread.
   */
  constructor(name: string, start: StartWorker, onEnd: (reason: MemoryError) => void = () => {}) {
    this.name = name;
    this.#onEnd = onEnd;
    this.#worker = start(findWorkerConstructor(name));
    if (isNodeWorker(this.#worker)) this.#attachNode(this.#worker);
    else this.#attachBrowser(this.#worker as BrowserWorker);
  }

  /** Why the thread has ended; null while it runs. */
  get ended(): MemoryError | null {
    return this.#ended;
  }

  /**
   * Posts a request and resolves with its answer. Rejects with what the worker threw; with the reason when the thread ends
   * first, or has ended; with a `DataCloneError` for what cannot be posted.
   */
  async request<Answer>(message: unknown, transfer: readonly object[] = []): Promise<Answer> {
    if (this.#ended !== null) throw this.#ended;
    const request = this.#requests++;
    this.hold();
    try {
      return await new Promise<Answer>((resolve, reject) => {
        this.#worker.postMessage({ request, message }, transfer);
        this.#pending.set(request, { resolve: resolve as (answer: unknown) => void, reject });
      });
    } finally {
      this.release();
    }
  }

  /** Keeps the process alive for the thread, until `release` is called as often. */
  hold(): void {
    if (this.#holds++ === 0 && isNodeWorker(this.#worker)) this.#worker.ref();
  }

  release(): void {
    if (--this.#holds === 0 && this.#ended === null && isNodeWorker(this.#worker)) this.#worker.unref();
  }

  /** Ends the thread, whatever it does. Resolves when it has ended; what is pending rejects with `reason`. */
  async terminate(reason: MemoryError): Promise<void> {
    this.#end(reason);
    await this.#worker.terminate();
  }

  #attachNode(worker: NodeWorker): void {
    worker.on("message", (reply) => this.#settle(reply));
    worker.on("error", (error) => this.#end(this.#failure(`was ended by an error: ${describe(error)}`, error)));
    worker.on("messageerror", (error) => this.#abandon(this.#failure("sent what cannot be received", error)));
    worker.on("exit", (code) => this.#end(this.#failure(`exited with code ${code}`)));
    worker.unref();
  }

  #attachBrowser(worker: BrowserWorker): void {
    worker.addEventListener("message", ({ data }) => this.#settle(data));
    worker.addEventListener("messageerror", () => this.#abandon(this.#failure("sent what cannot be received")));
    worker.addEventListener("error", (event) => {
      event.preventDefault();
      const { message } = event;
      this.#abandon(this.#failure(message ? `was ended by an error: ${message}` : "could not load its script"));
    });
  }

  #settle(reply: Reply): void {
    const pending = this.#pending.get(reply.request);
    if (pending === undefined) return;
    this.#pending.delete(reply.request);
    if ("thrown" in reply) pending.reject(unpackThrown(reply.thrown));
    else pending.resolve(reply.answer);
  }

  #failure(what: string, cause?: unknown): MemoryError {
    return new MemoryError("EIO", `thread "${this.name}" ${what}`, cause === undefined ? {} : { cause });
  }

  /** Of a worker that may go on all the same, and must not. */
  #abandon(reason: MemoryError): void {
    this.#end(reason);
    this.#worker.terminate();
  }

  #end(reason: MemoryError): void {
    if (this.#ended !== null) return;
    this.#ended = reason;
    this.#onEnd(reason);
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    for (const { reject } of pending) reject(reason);
  }
}

function isNodeWorker(worker: StartedWorker): worker is NodeWorker {
  return "ref" in worker;
}

function findWorkerConstructor(name: string): WorkerConstructor {
  const { process, Worker } = globalThis as unknown as {
    process?: { readonly execArgv?: readonly string[]; getBuiltinModule?(module: string): unknown };
    Worker?: WorkerConstructor;
  };
  const node = process?.getBuiltinModule?.("node:worker_threads") as { Worker: WorkerConstructor } | undefined;
  const found = node?.Worker ?? Worker;
  if (found === undefined) {
    throw new MemoryError("ENOTSUP", `thread "${name}" needs workers, which this runtime does not have`);
  }
  // A worker of Node inherits the options of the process, and one that says what the text of --eval is refuses files.
  const evaluates = process?.execArgv?.some((option) => option.startsWith("--input-type")) === true;
  return evaluates ? withoutInheritedOptions(found) : found;
}

function withoutInheritedOptions(Worker: WorkerConstructor): WorkerConstructor {
  return class extends Worker {
    constructor(url: URL, options: { type: "module" }) {
      super(url, { ...options, execArgv: [] } as { type: "module" });
    }
  };
}

function describe(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
