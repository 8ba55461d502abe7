/** Errors at a place of a kernel's text. */

import type { ErrorCode } from "../../mm/errors.js";
import { KernelError } from "../kernel-error.js";

const LINE_END = /\r\n|[\n\v\f\r\u0085\u2028\u2029]/;

/** The error at an offset, with its line and column. */
export function errorAt(text: string, offset: number, reason: string, code?: ErrorCode): KernelError {
  const before = text.slice(0, offset).split(LINE_END);
  return new KernelError(reason, before.length, before[before.length - 1].length + 1, code);
}
