/**
 * Sizes as people write them on the command line and as the report writes them for people: binary units for memory
 * (a page is 64 KiB), decimal ones for files and downloads (118 MB), as the systems that show them do.
 */

import { JobFailure } from "./failure.js";

const units: Readonly<Record<string, number>> = { "": 1, B: 1, KIB: 1024, MIB: 1024 ** 2, GIB: 1024 ** 3 };

/** Reads "32MiB", "64KiB" or plain bytes; `option` is what the message calls the value. */
export function parseSize(text: string, option: string): number {
  const [, digits, unit] = /^(\d+(?:\.\d+)?) ?([a-z]*)$/i.exec(text.trim()) ?? [];
  const factor = unit === undefined ? undefined : units[unit.toUpperCase()];
  if (digits === undefined || factor === undefined) {
    throw new JobFailure(
      "EINVAL",
      `${option} ${JSON.stringify(text)} is not a size; write bytes, KiB, MiB or GiB, such as 32MiB`,
    );
  }
  const bytes = Number(digits) * factor;
  if (!Number.isSafeInteger(bytes) || bytes < 1) {
    throw new JobFailure("EINVAL", `${option} ${text} is not a whole number of bytes from 1 to 2^53 - 1`);
  }
  return bytes;
}

/** 33554432 is "32 MiB", 1000 is "1,000 B". */
export function memorySize(bytes: number): string {
  const power = bytes >= 1024 ** 3 ? 3 : bytes >= 1024 ** 2 ? 2 : bytes >= 1024 ? 1 : 0;
  const value = bytes / 1024 ** power;
  return `${shortest(value)} ${["B", "KiB", "MiB", "GiB"][power]}`;
}

/** 117897434 is "118 MB". */
export function fileSize(bytes: number): string {
  const power = bytes >= 1e9 ? 3 : bytes >= 1e6 ? 2 : bytes >= 1e3 ? 1 : 0;
  const value = bytes / 1000 ** power;
  return `${power === 0 || value >= 10 ? count(Math.round(value)) : value.toFixed(1)} ${["bytes", "kB", "MB", "GB"][power]}`;
}

/** 341479 is "341,479", whatever language the machine speaks. */
export function count(value: number): string {
  return value.toLocaleString("en-US");
}

function shortest(value: number): string {
  return Number.isInteger(value) || value >= 1000 ? count(Math.round(value)) : value.toFixed(1);
}
