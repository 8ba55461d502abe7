/**
 * The one error of the engine: a small named error with an errno-style code; the message names the value and its bound.
 * When a call throws it, nothing has changed.
 */

export type ErrorCode =
  | "EINVAL"
  | "ENOMEM"
  | "EFAULT"
  | "EBUSY"
  | "EPERM"
  | "EIO"
  | "ENODEV"
  // Of files and of swap.
  | "EACCES"
  | "EEXIST"
  | "EISDIR"
  | "ENOENT"
  | "ENOSPC"
  | "ENOTSUP";

/**
 * A call that failed: `code` is errno's word for why, the message has the value and its bound. Nothing has changed.
 */
export class MemoryError extends Error {
  override readonly name: string = "MemoryError";

  constructor(
    readonly code: ErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(`${code}: ${message}`, options);
  }
}

/** A broken invariant of the engine itself: never the caller's fault, never expected. */
export class InvariantError extends Error {
  override readonly name = "InvariantError";
}

export function assert(condition: boolean, broken: string): asserts condition {
  if (!condition) throw new InvariantError(broken);
}
