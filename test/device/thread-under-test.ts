/** The worker of the thread tests: does what it is asked to, in all the ways in which a worker can fail. */

import { answerRequests } from "../../src/device/answer-requests.js";
import { MemoryError } from "../../src/mm/errors.js";

export type Order =
  | { readonly do: "add"; readonly numbers: readonly number[] }
  | { readonly do: "wait"; readonly milliseconds: number }
  | { readonly do: "sum"; readonly bytes: Uint8Array }
  | { readonly do: "fill"; readonly length: number; readonly value: number }
  | { readonly do: "throw"; readonly what: "memory" | "range" | "own" | "string" | "function" | "loop" }
  | { readonly do: "answer a function" }
  | { readonly do: "exit"; readonly code: number }
  | { readonly do: "throw later" }
  | { readonly do: "reject later" }
  | { readonly do: "spin" }
  | { readonly do: "hoard" };

class OwnError extends Error {
  override readonly name = "OwnError";
  readonly completed = 7;
  readonly hook = (): void => {};
}

function thrown(what: (Order & { do: "throw" })["what"]): unknown {
  switch (what) {
    case "memory":
      return new MemoryError("EBUSY", "a page is in use", { cause: new RangeError("page 7") });
    case "range":
      return new RangeError("too far");
    case "own":
      return new OwnError("of its own kind");
    case "string":
      return "a string";
    case "function":
      return () => 1;
    case "loop": {
      const error = new Error("its own cause");
      error.cause = error;
      return error;
    }
    default:
      return what satisfies never;
  }
}

answerRequests((message, transfer) => {
  const order = message as Order;
  switch (order.do) {
    case "add":
      return order.numbers.reduce((sum, number) => sum + number, 0);
    case "wait":
      return new Promise((resolve) => setTimeout(() => resolve("waited"), order.milliseconds));
    case "sum":
      return order.bytes.reduce((sum, byte) => sum + byte, 0);
    case "fill": {
      const bytes = new Uint8Array(order.length).fill(order.value);
      transfer.push(bytes.buffer);
      return bytes;
    }
    case "throw":
      throw thrown(order.what);
    case "answer a function":
      return () => 1;
    case "exit":
      return process.exit(order.code);
    case "throw later":
      setImmediate(() => {
        throw new Error("nobody waits for this");
      });
      return new Promise(() => {});
    case "reject later":
      void Promise.reject(new Error("nobody waits for this either"));
      return new Promise(() => {});
    case "spin":
      for (;;);
    case "hoard": {
      const hoard: number[][] = [];
      for (;;) hoard.push(Array.from({ length: 100_000 }, Math.random));
    }
    default:
      return order satisfies never;
  }
});
