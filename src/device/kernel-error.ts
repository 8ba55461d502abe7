/** What is wrong with the text of a kernel, and where. */

import { type ErrorCode, MemoryError } from "../mm/errors.js";

/** A kernel in WGSL that cannot be run, or did what it must not. Lines and columns count from 1. */
export class KernelError extends MemoryError {
  override readonly name = "KernelError";
  readonly line: number;
  readonly column: number;
  /** The message without the place. */
  readonly reason: string;

  constructor(reason: string, line: number, column: number, code: ErrorCode = "EINVAL") {
    super(code, `line ${line}, column ${column}: ${reason}`);
    this.line = line;
    this.column = column;
    this.reason = reason;
  }
}
