/**
 * Loaded with `node --import` before the job: changes one number of the file CHANGED_FILE at the moment between search
 * and verification, so that a right search and a right reference must disagree.
 */

import { closeSync, openSync, statSync, writeSync } from "node:fs";

const write = process.stderr.write.bind(process.stderr);

process.stderr.write = (text: string | Uint8Array) => {
  if (String(text).startsWith("search")) change(process.env["CHANGED_FILE"] ?? "");
  return write(text);
};

function change(file: string): void {
  const descriptor = openSync(file, "r+");
  writeSync(descriptor, new Uint8Array(Float32Array.of(1000).buffer), 0, 4, statSync(file).size - 4);
  closeSync(descriptor);
}
