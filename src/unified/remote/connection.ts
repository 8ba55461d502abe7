/**
 * A thread's end of its port to the pager: requests and their answers.
 *
 * Invariants: every request is settled, by its answer or, in whatever way the connection ends, by the reason for that. When
 * a request that was aborted rejects, the pager is done with it.
 */

import type { DeviceLostError } from "../../device/device-lost-error.js";
import { type Thrown, unpackThrown } from "../../device/thrown.js";
import { UserMachine } from "../../access/user-mode/user-machine.js";
import { type ErrorCode, MemoryError } from "../../mm/errors.js";
import { DispatchError } from "../dispatch-error.js";
import type { Progress } from "../kernel.js";
import type { Operation } from "../operation-queue.js";
import type { PagerLoss, Port } from "../pager.js";
import type { Stats } from "../stats.js";
import { Channel, isPort } from "./channel.js";
import { type LossMessage, type Note, PROTOCOL, type Reply, type Requests, type Welcome } from "./messages.js";

interface Pending {
  readonly resolve: (answer: unknown) => void;
  readonly reject: (reason: unknown) => void;
  readonly onProgress: ((progress: Progress) => void) | undefined;
}

/** Of a request, all of it optional. */
interface Asking {
  /** What it is for, which may be aborted. */
  readonly operation?: Operation;
  readonly transfer?: readonly object[];
  readonly onProgress?: ((progress: Progress) => void) | undefined;
}

export class Connection {
  readonly welcome: Welcome;
  /** What this thread reaches by itself. */
  readonly view: UserMachine;
  /** As the last answer said. */
  stats: Stats;
  /** As the pager last said. */
  loss: PagerLoss | null;
  /** Called when it has said so. */
  onDevice: () => void = () => {};
  /** Why the connection ended; null while it lasts. */
  ended: MemoryError | null = null;
  /** Called once, with that. */
  onEnd: (reason: MemoryError) => void = () => {};
  readonly #channel: Channel;
  readonly #pending = new Map<number, Pending>();
  #requests = 0;

  private constructor(channel: Channel, welcome: Welcome) {
    this.#channel = channel;
    this.welcome = welcome;
    this.stats = welcome.stats;
    this.loss = lossOf(welcome.loss);
    this.view = new UserMachine(welcome.view, () => this.tell({ note: "collect", owed: this.view.takeOwed() }));
  }

  /** Resolves when the pager has said who it is. EINVAL for what is no port of one; EIO when that is gone. */
  static open(port: Port): Promise<Connection> {
    if (!isPort(port)) throw new MemoryError("EINVAL", `connect takes a port of a memory, not ${String(port)}`);
    return new Promise((resolve, reject) => {
      let connection: Connection | null = null;
      const onMessage = (message: unknown): void => {
        if (connection !== null) return connection.#receive(message as Reply);
        channel.release();
        if ((message as Partial<Welcome> | null)?.pageferry === PROTOCOL) {
          connection = new Connection(channel, message as Welcome);
          return resolve(connection);
        }
        channel.close();
        reject(new MemoryError("EINVAL", "the port is none of a memory of this version"));
      };
      const onClose = (): void => {
        if (connection !== null) return connection.end(goneError());
        channel.release();
        reject(goneError());
      };
      const channel = new Channel(port, onMessage, onClose);
      channel.hold();
    });
  }

  /** Asks and resolves with the answer. Rejects with what the pager threw; EINVAL for what cannot be posted. */
  async ask<Name extends keyof Requests>(
    name: Name,
    given: Requests[Name]["given"],
    { operation, transfer = [], onProgress }: Asking = {},
  ): Promise<Requests[Name]["answer"]> {
    if (this.ended !== null) throw this.ended;
    const request = this.#requests++;
    let settled = false;
    const answer = new Promise<Requests[Name]["answer"]>((resolve, reject) => {
      this.#pending.set(request, { resolve: resolve as Pending["resolve"], reject, onProgress });
      try {
        this.#channel.post({ request, ask: name, given }, transfer);
      } catch (cause) {
        this.#pending.delete(request);
        reject(unpostable(name, cause));
      }
    }).finally(() => {
      settled = true;
    });
    this.#channel.hold();
    try {
      return await (operation === undefined ? answer : operation.outside(answer));
    } catch (error) {
      if (!settled) {
        this.tell({ note: "abort", of: request });
        await answer.catch(() => {});
      }
      throw error;
    } finally {
      this.#channel.release();
    }
  }

  tell(note: Note): void {
    this.#channel.post(note);
  }

  /** Nothing is asked any more; what is pending rejects. */
  end(reason: MemoryError): void {
    if (this.ended !== null) return;
    this.ended = reason;
    this.tell({ note: "leave" });
    this.#channel.close();
    this.onEnd(reason);
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    for (const { reject } of pending) reject(reason);
  }

  #receive(reply: Reply): void {
    if ("ended" in reply) return this.end(unpack(reply.ended) as MemoryError);
    if ("loss" in reply) {
      this.loss = lossOf(reply.loss);
      return this.onDevice();
    }
    const pending = this.#pending.get(reply.request);
    if (pending === undefined) return;
    if ("progress" in reply) return pending.onProgress?.(reply.progress);
    this.#pending.delete(reply.request);
    if ("thrown" in reply) return pending.reject(unpack(reply.thrown));
    this.stats = reply.stats;
    if (reply.growth !== null) this.view.grow(reply.growth);
    pending.resolve(reply.answer);
  }
}

function lossOf(message: LossMessage | null): PagerLoss | null {
  if (message === null) return null;
  const { error, runs } = message;
  return {
    error: unpack(error) as DeviceLostError,
    runsOf: ({ shared }) => runs.get(shared?.number ?? -1) ?? [],
  };
}

function unpack(thrown: Thrown): unknown {
  const error = unpackThrown(thrown);
  if (!(error instanceof Error) || error.name !== "DispatchError") return error;
  const { code, completed, message, stack } = error as Error & { code: ErrorCode; completed: number };
  const dispatch = new DispatchError(code, message, completed, error.cause);
  Object.defineProperty(dispatch, "message", { value: message, configurable: true, writable: true });
  Object.defineProperty(dispatch, "stack", { value: stack, configurable: true, writable: true });
  return dispatch;
}

function unpostable(name: string, cause: unknown): MemoryError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new MemoryError("EINVAL", `what ${name} is given cannot be posted to the pager: ${reason}`, { cause });
}

function goneError(): MemoryError {
  return new MemoryError("EIO", "the thread that has the memory's pager is gone");
}
