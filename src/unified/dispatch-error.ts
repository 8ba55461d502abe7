/** A dispatch that stopped after it began: how far it came, and why. The arrays that its kernel writes are unspecified. */

import { type ErrorCode, MemoryError } from "../mm/errors.js";

export class DispatchError extends MemoryError {
  /** Invocations that completed before. */
  readonly completed: number;

  constructor(code: ErrorCode, message: string, completed: number, cause: unknown) {
    super(code, message, { cause });
    this.completed = completed;
  }

  /** Refusals before anything ran, and abort reasons, stay themselves; everything else says how far it came. */
  static wrap(error: unknown, kernel: string, completed: number, invocations: number): unknown {
    if (!(error instanceof Error) || error.name === "AbortError" || error.name === "TimeoutError") return error;
    if (error instanceof MemoryError && completed === 0) return error;
    const code = error instanceof MemoryError ? error.code : "EIO";
    return new DispatchError(
      code,
      `kernel "${kernel}" stopped after ${completed} of ${invocations} invocations: ${error.message}`,
      completed,
      error,
    );
  }
}
