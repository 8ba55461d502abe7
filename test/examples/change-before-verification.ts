/**
 * Loaded with `node --import` before the job: changes one number of the file CHANGED_FILE when the phase CHANGED_AFTER
 * ends, before verification, so that a right answer and a right reference must disagree.
 */

import { closeSync, openSync, statSync, writeSync } from "node:fs";

const write = process.stderr.write.bind(process.stderr);

process.stderr.write = (text: string | Uint8Array) => {
  if (String(text).startsWith(process.env["CHANGED_AFTER"] ?? "search")) change(process.env["CHANGED_FILE"] ?? "");
  return write(text);
};

function change(file: string): void {
  const descriptor = openSync(file, "r+");
  writeSync(descriptor, new Uint8Array(Float32Array.of(1000).buffer), 0, 4, statSync(file).size - 4);
  closeSync(descriptor);
}
