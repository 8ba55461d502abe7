/** The files that NumPy wrote, and what NumPy says is in them: see test/fixtures/npy/README.md. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { repository } from "../packaging/sample-project.js";

/** Numbers by their text, so that none is rounded on the way; true and false; and what structures hold. */
export type NumpyValue = string | boolean | readonly NumpyValue[];

interface NumpyFile {
  readonly shape: readonly number[];
  readonly values: readonly NumpyValue[];
}

const FOLDER = join(repository, "test", "fixtures", "npy");

export const NUMPY_FILES = (
  JSON.parse(readFileSync(join(FOLDER, "values.json"), "utf8")) as { files: Record<string, NumpyFile> }
).files;

export function numpyPath(name: string): string {
  return join(FOLDER, `${name}.npy`);
}

export function numpyBytes(name: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(readFileSync(numpyPath(name)));
}

/** Numbers as elements of a type hold them. */
export function numbersIn(name: string, type: string): (number | bigint)[] {
  const wide = type === "i64" || type === "u64";
  return (NUMPY_FILES[name]?.values ?? []).flat(9).map((value) => {
    const text = typeof value === "boolean" ? String(Number(value)) : (value as string);
    return wide ? BigInt(text) : Number(text);
  });
}
