/** Linux's numbers for the error codes that a trace can hold. */

import type { ErrorCode } from "../../mm/index.js";

export const EPERM = 1;
export const ENOENT = 2;
export const EIO = 5;
export const ENOMEM = 12;
export const EFAULT = 14;
export const EBUSY = 16;
export const ENODEV = 19;
export const EINVAL = 22;

const NUMBERS: Readonly<Partial<Record<ErrorCode, number>>> = { EPERM, EIO, ENOMEM, EFAULT, EBUSY, ENODEV, EINVAL };

/** No operation of a trace ends with a code of files: those are an input/output error. */
export function errnoOf(code: ErrorCode): number {
  return NUMBERS[code] ?? EIO;
}
