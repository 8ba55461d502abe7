/**
 * An outline as files of WordNet's format, so that a small graph goes the way that WordNet goes: each line a synset, with a
 * pointer to what it is indented under and one back. In the demo, and where tests need files.
 */

import { JobFailure } from "../program/failure.js";
import { dataFiles } from "./wordnet-file.js";

interface Entry {
  readonly words: readonly string[];
  readonly gloss: string;
  readonly links: { readonly symbol: "@" | "~"; readonly to: number }[];
}

const licence = "  1 An outline, not WordNet.\n";

/** The data files: all lines are nouns. */
export function outlineFiles(outline: string): Record<string, Uint8Array> {
  const entries = readOutline(outline);
  // The offsets have a fixed width, so the lines can be measured before they are known.
  const offsets: number[] = [];
  let next = licence.length;
  for (const entry of entries) {
    offsets.push(next);
    next += Buffer.byteLength(lineOf(entry, 0, () => 0));
  }
  const lines = entries.map((entry, i) => lineOf(entry, offsets[i], (to) => offsets[to]));
  const bytes = Buffer.from(licence + lines.join(""));
  return Object.fromEntries(dataFiles.map((name) => [name, name === "data.noun" ? bytes : Buffer.from(licence)]));
}

function readOutline(outline: string): Entry[] {
  const entries: Entry[] = [];
  /** The last entry of each depth. */
  const path: number[] = [];
  for (const [i, line] of outline.split("\n").entries()) {
    if (line.trim() === "" || line.startsWith("#")) continue;
    const [, spaces, words, gloss = ""] = /^( *)([^|]+?)(?: *\| *(.*))?$/.exec(line) ?? [];
    const depth = spaces.length / 2;
    if (!Number.isInteger(depth) || depth > path.length)
      throw new JobFailure("EBADMSG", `line ${i + 1} of the outline is indented by ${spaces.length} spaces`);
    const entry: Entry = { words: words.split(",").map((word) => word.trim()), gloss, links: [] };
    const number = entries.push(entry) - 1;
    path.length = depth;
    const above = path.at(-1);
    if (above !== undefined) {
      entry.links.push({ symbol: "@", to: above });
      entries[above].links.push({ symbol: "~", to: number });
    }
    path.push(number);
  }
  return entries;
}

function lineOf({ words, gloss, links }: Entry, offset: number, offsetOf: (entry: number) => number): string {
  const digits = (number: number, width: number, radix = 10): string => number.toString(radix).padStart(width, "0");
  return [
    digits(offset, 8),
    "03 n",
    digits(words.length, 2, 16),
    ...words.map((word) => `${word.replaceAll(" ", "_")} 0`),
    digits(links.length, 3),
    ...links.map(({ symbol, to }) => `${symbol} ${digits(offsetOf(to), 8)} n 0000`),
    `| ${gloss}  \n`,
  ].join(" ");
}
