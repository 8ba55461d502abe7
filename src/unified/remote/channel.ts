/**
 * One end of a message channel, the same in Node and in browsers. It keeps a process of Node alive only while it is held.
 *
 * Invariant: `onClose` is called once, when the other end is gone, as far as the runtime says so: Node always does, browsers
 * for a thread that was terminated in newer versions only.
 */

import type { Port } from "../pager.js";

interface AnyPort {
  postMessage(message: unknown, transfer: readonly object[]): void;
  close(): void;
}

interface NodePort extends AnyPort {
  on(event: "message", listener: (message: unknown) => void): void;
  on(event: "close", listener: () => void): void;
  ref(): void;
  unref(): void;
}

interface BrowserPort extends AnyPort {
  addEventListener(type: "message", listener: (event: { readonly data: unknown }) => void): void;
  addEventListener(type: "close", listener: () => void): void;
  start(): void;
}

declare const MessageChannel: new () => { readonly port1: Port; readonly port2: Port };

/** The two ends of a new channel. */
export function createChannel(): { readonly port1: Port; readonly port2: Port } {
  return new MessageChannel();
}

export function isPort(value: unknown): value is Port {
  const { postMessage, close } = (value ?? {}) as Partial<AnyPort>;
  return typeof postMessage === "function" && typeof close === "function";
}

export class Channel {
  readonly #port: NodePort | BrowserPort;
  #holds = 0;
  #closed = false;

  constructor(port: Port, onMessage: (message: unknown) => void, onClose: () => void) {
    this.#port = port as unknown as NodePort | BrowserPort;
    const close = (): void => {
      if (this.#closed) return;
      this.#closed = true;
      onClose();
    };
    if (isNodePort(this.#port)) {
      this.#port.on("message", onMessage);
      this.#port.on("close", close);
      this.#port.unref();
    } else {
      this.#port.addEventListener("message", ({ data }) => onMessage(data));
      this.#port.addEventListener("close", close);
      this.#port.start();
    }
  }

  post(message: unknown, transfer: readonly object[] = []): void {
    if (!this.#closed) this.#port.postMessage(message, transfer);
  }

  /** Keeps the process alive until `release` is called as often. */
  hold(): void {
    if (this.#holds++ === 0 && !this.#closed && isNodePort(this.#port)) this.#port.ref();
  }

  release(): void {
    if (--this.#holds === 0 && !this.#closed && isNodePort(this.#port)) this.#port.unref();
  }

  /** What was posted arrives still; `onClose` is not called for it. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#port.close();
  }
}

function isNodePort(port: NodePort | BrowserPort): port is NodePort {
  return "unref" in port;
}
