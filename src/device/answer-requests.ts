/** The worker's side of a `Thread`: each request is answered by what a function makes of it, or by what that throws. */

import { packThrown, type Thrown } from "./thrown.js";

/** What a `Thread` posts. */
export interface Request {
  readonly request: number;
  readonly message: unknown;
}

/** What comes back. */
export type Reply =
  | { readonly request: number; readonly answer: unknown }
  | { readonly request: number; readonly thrown: Thrown };

/** The thread that started this worker. */
interface Starter {
  post(reply: Reply, transfer: readonly object[]): void;
  listen(listener: (request: Request) => void): void;
  /** Calls back where an error that nobody catches does not end the worker at once, as it does in Node. */
  onFailure(listener: () => void): void;
}

/**
 * Answers requests from now on. What `answer` puts into `transfer` is given to the thread that asked. Requests are begun in
 * order; one that is answered by a promise does not keep the next waiting. After an error that nobody catches nothing is done
 * any more: the thread that asked ends this one, and what it shares with it is its own again.
 */
export function answerRequests(answer: (message: unknown, transfer: object[]) => unknown): void {
  const starter = findStarter();
  let ended = false;
  starter.onFailure(() => {
    ended = true;
  });
  starter.listen(({ request, message }) => {
    if (ended) return;
    const transfer: object[] = [];
    const refuse = (error: unknown): void => starter.post({ request, thrown: packThrown(error) }, []);
    const reply = (given: unknown): void => {
      try {
        starter.post({ request, answer: given }, transfer);
      } catch (error) {
        refuse(error);
      }
    };
    try {
      const given = answer(message, transfer);
      if (given instanceof Promise) given.then(reply, refuse);
      else reply(given);
    } catch (error) {
      refuse(error);
    }
  });
}

interface NodePort {
  postMessage(message: unknown, transfer: readonly object[]): void;
  on(event: "message", listener: (message: Request) => void): void;
}

/** The part of a worker's global scope that is used here; its types come with the DOM. */
interface WorkerScope {
  readonly process?: { getBuiltinModule?(name: string): unknown };
  postMessage(message: unknown, transfer: readonly object[]): void;
  addEventListener(type: "message", listener: (event: { readonly data: Request }) => void): void;
  addEventListener(type: "error", listener: () => void): void;
  addEventListener(type: "unhandledrejection", listener: (event: { readonly reason: unknown }) => void): void;
  reportError(error: unknown): void;
}

function findStarter(): Starter {
  const scope = globalThis as unknown as WorkerScope;
  const node = scope.process?.getBuiltinModule?.("node:worker_threads") as
    | { readonly parentPort: NodePort | null }
    | undefined;
  const port = node?.parentPort ?? null;
  if (port !== null) {
    return {
      post: (reply, transfer) => port.postMessage(reply, transfer),
      listen: (listener) => port.on("message", listener),
      onFailure: () => {},
    };
  }
  return {
    post: (reply, transfer) => scope.postMessage(reply, transfer),
    listen: (listener) => scope.addEventListener("message", ({ data }) => listener(data)),
    onFailure: (listener) => {
      scope.addEventListener("error", listener);
      scope.addEventListener("unhandledrejection", ({ reason }) => scope.reportError(reason));
    },
  };
}
