/** A dispatch that stopped after it began: how far it came, and why. The arrays that its kernel writes are unspecified. */

import { type ErrorCode, MemoryError } from "../mm/errors.js";

/** A dispatch that stopped. What the arrays that it writes hold is unspecified; all others are untouched. */
export class DispatchError extends MemoryError {
  override readonly name = "DispatchError";
  /** Invocations that completed before. Of those in the two steps after them, any may have run. */
  readonly completed: number;

  constructor(code: ErrorCode, message: string, completed: number, cause: unknown) {
    super(code, message, { cause });
    this.completed = completed;
  }

  /** The error of a dispatch that stopped because of `cause`. */
  static of(cause: unknown, kernel: string, completed: number, invocations: number): DispatchError {
    return new DispatchError(
      cause instanceof MemoryError ? cause.code : "EIO",
      `kernel "${kernel}" stopped after ${completed} of ${invocations} invocations: ${reasonOf(cause)}`,
      completed,
      cause,
    );
  }
}

function reasonOf(cause: unknown): string {
  if (cause instanceof MemoryError) return cause.message.slice(cause.code.length + 2);
  return cause instanceof Error ? cause.message : String(cause);
}
