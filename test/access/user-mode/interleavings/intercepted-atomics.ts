/**
 * `Atomics` with somebody between: all code of this thread that uses the global object asks the interceptor first, which may
 * let others act before the operation, stop it by throwing, or answer in its place.
 */

const unaltered = globalThis.Atomics;

export type Operation = "load" | "store" | "exchange" | "compareExchange" | "add" | "sub" | "and" | "or";

/** An operation that is about to be done. */
export interface AtomicOperation {
  readonly operation: Operation;
  readonly words: Int32Array;
  readonly at: number;
  readonly operands: readonly number[];
  readonly perform: () => number;
}

/** Does the operation, or something else; what it returns is the operation's result. */
export type Interceptor = (asked: AtomicOperation) => number;

let interceptor: Interceptor | null = null;

const OPERATIONS: readonly Operation[] = ["load", "store", "exchange", "compareExchange", "add", "sub", "and", "or"];

const intercepted = Object.fromEntries(
  OPERATIONS.map((operation) => {
    const original = unaltered[operation] as (words: Int32Array, at: number, ...operands: number[]) => number;
    const act = (words: Int32Array, at: number, ...operands: number[]): number => {
      const perform = (): number => original(words, at, ...operands);
      return interceptor === null ? perform() : interceptor({ operation, words, at, operands, perform });
    };
    return [operation, act];
  }),
);

/** Sets who is asked, null for nobody; returns who was. */
export function interceptBy(next: Interceptor | null): Interceptor | null {
  const before = interceptor;
  interceptor = next;
  return before;
}

/** Puts itself between until the promise has settled. */
export async function withInterceptedAtomics<T>(act: () => Promise<T>): Promise<T> {
  globalThis.Atomics = intercepted as unknown as Atomics;
  try {
    return await act();
  } finally {
    interceptor = null;
    globalThis.Atomics = unaltered;
  }
}
