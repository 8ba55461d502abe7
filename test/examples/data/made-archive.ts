/**
 * Small archives of the shape that npm gives, made for tests: a tar of a few files, gzipped, with a JSON like the real
 * package's. Everything can be made wrong on purpose.
 */

import { createHash } from "node:crypto";
import { gzipSync } from "node:zlib";
import type { VectorPackage } from "../../../examples/word-vectors/vector-package.js";

/** Words that a careless reader of JSON trips over. */
export const awkwardWords = [
  "the",
  ",",
  '"',
  "]",
  "},",
  "\\",
  "__proto__",
  "7",
  "10",
  "é",
  "語",
  '],"a":[1]',
  "constructor",
];

export interface MadeVectors {
  readonly words: readonly string[];
  /** Float32 values, exact in decimal. */
  readonly rows: readonly (readonly number[])[];
}

export function madeVectors(words: readonly string[] = awkwardWords, dimensions = 4): MadeVectors {
  const rows = words.map((_, i) => Array.from({ length: dimensions }, (__, d) => ((i * 7 + d * 3) % 11) / 4 - 1));
  return { words, rows };
}

export function madeJson({ words, rows }: MadeVectors): string {
  const dimensions = rows[0]?.length ?? 0;
  // Written by hand, for an object would put the words "7" and "10" first.
  const records = words.map((word, i) => {
    const row = rows[i];
    return `${JSON.stringify(word)}:${JSON.stringify([...row, Math.hypot(...row), i])}`;
  });
  const header = {
    precision: 8,
    l2NormIndex: dimensions,
    wordIndex: dimensions + 1,
    size: words.length,
    dimensions,
    words,
  };
  return `${JSON.stringify(header).slice(0, -1)},"vectors":{${records.join(",")}},"unkVector":[0,0]}`;
}

export function madeTar(files: Readonly<Record<string, string | Uint8Array>>): Buffer {
  const parts: Uint8Array[] = [];
  for (const [path, content] of Object.entries(files)) {
    const bytes = Buffer.from(content as string);
    parts.push(tarHeader(path, bytes.length), bytes, Buffer.alloc((512 - (bytes.length % 512)) % 512));
  }
  return Buffer.concat([...parts, Buffer.alloc(1024)]);
}

export function madeArchive(json: string): Buffer {
  return gzipSync(
    madeTar({
      "package/package.json": JSON.stringify({ name: "made-vectors", version: "1.0.0" }),
      "package/vectors.json": json,
      "package/README.md": "After the entry comes more.",
    }),
  );
}

export function madePackage(archive: Uint8Array): VectorPackage {
  return {
    name: "made-vectors",
    version: "1.0.0",
    integrity: integrityOf(archive),
    entry: "package/vectors.json",
    archiveBytes: archive.length,
    keptBytes: 1000,
    what: "word vectors",
    instead: ["npm start -- --demo", "npm start -- --vectors FILE --words FILE"],
    credit: "made for a test",
  };
}

export function integrityOf(archive: Uint8Array): string {
  return `sha512-${createHash("sha512").update(archive).digest("base64")}`;
}

function tarHeader(path: string, bytes: number): Buffer {
  const header = Buffer.alloc(512);
  header.write(path, 0);
  header.write("0000644\0", 100);
  header.write("0000000\0", 108);
  header.write("0000000\0", 116);
  header.write(`${bytes.toString(8).padStart(11, "0")}\0`, 124);
  header.write("00000000000\0", 136);
  header.write("        ", 148);
  header.write("0", 156);
  header.write("ustar\u000000", 257);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  return header;
}
