/**
 * WordNet's data files (data.noun and the others, as its manual page wndb(5WN) describes them): one synset a line, with its
 * words, its pointers to other synsets by their byte offsets, and a gloss. Invariant: every line is understood to its end or
 * refused with file and line; an offset is where its line begins, and every pointer points at a line.
 */

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { explain, JobFailure } from "../program/failure.js";
import { count } from "../program/sizes.js";
import type { Graph } from "./graph.js";

/** The files in the order of their synsets' numbers, by the letter that pointers have for them. */
const files = { n: "data.noun", v: "data.verb", a: "data.adj", r: "data.adv" } as const;

type PartOfSpeech = keyof typeof files;

const parts = Object.keys(files) as PartOfSpeech[];

export const dataFiles: readonly string[] = Object.values(files);

/** Words of adjectives may have a marker of where they stand: "galore(ip)". */
const marker = /\((?:a|p|ip)\)$/;

interface Pointer {
  readonly from: number;
  readonly part: PartOfSpeech;
  readonly offset: number;
  readonly line: number;
  readonly file: string;
}

interface Reading {
  readonly words: (readonly string[])[];
  readonly glosses: string[];
  readonly parts: PartOfSpeech[];
  readonly pointers: Pointer[];
  /** Of each part of speech: offsets to numbers of synsets. */
  readonly places: Readonly<Record<PartOfSpeech, Map<number, number>>>;
}

const partNames: Readonly<Record<PartOfSpeech, string>> = { n: "noun", v: "verb", a: "adjective", r: "adverb" };

export async function readWordnet(folder: string, source: string): Promise<Graph> {
  const texts: Record<string, Uint8Array> = {};
  for (const name of dataFiles) {
    texts[name] = await readFile(join(folder, name)).catch((error: unknown) => {
      throw explain(error, `cannot read ${join(folder, name)}`);
    });
  }
  return wordnetGraph(texts, source);
}

/** `texts` are the contents of the data files, by their names. */
export function wordnetGraph(texts: Readonly<Record<string, Uint8Array>>, source: string): Graph {
  const reading: Reading = {
    words: [],
    glosses: [],
    parts: [],
    pointers: [],
    places: { n: new Map(), v: new Map(), a: new Map(), r: new Map() },
  };
  for (const part of parts) readFileOf(part, texts[files[part]], reading);
  const { words, glosses, parts: partOf } = reading;
  const byWord = new Map<string, number[]>();
  for (const [synset, list] of words.entries()) {
    for (const word of list) {
      const key = word.toLowerCase();
      const synsets = byWord.get(key);
      if (synsets === undefined) byWord.set(key, [synset]);
      else if (synsets.at(-1) !== synset) synsets.push(synset);
    }
  }
  return {
    source,
    what: "synsets",
    nodes: words.length,
    ...edgesOf(reading),
    name: (synset) => words[synset].join(", "),
    about: (synset) => `${partNames[partOf[synset]]}: ${glosses[synset]}`,
    find: (word) => byWord.get(word.toLowerCase().replaceAll("_", " ")) ?? [],
  };
}

function readFileOf(part: PartOfSpeech, bytes: Uint8Array, reading: Reading): void {
  const file = files[part];
  const decoder = new TextDecoder();
  for (let start = 0, line = 1; start < bytes.length; line++) {
    const newline = bytes.indexOf(0x0a, start);
    const end = newline < 0 ? bytes.length : newline;
    // The licence at the beginning is in lines that begin with two spaces.
    if (!(bytes[start] === 0x20 && bytes[start + 1] === 0x20))
      readSynset(decoder.decode(bytes.subarray(start, end)).trimEnd(), { part, file, line, start }, reading);
    start = end + 1;
  }
}

function readSynset(
  text: string,
  { part, file, line, start }: { part: PartOfSpeech; file: string; line: number; start: number },
  { words, glosses, parts: partOf, pointers, places }: Reading,
): void {
  const refuse = (why: string): never => {
    throw new JobFailure("EBADMSG", `${file}, line ${line}: ${why}`);
  };
  const bar = text.indexOf(" |");
  const fields = (bar < 0 ? text : text.slice(0, bar)).trim().split(/ +/);
  let next = 0;
  const take = (what: string, pattern: RegExp): string => {
    const field = fields[next++];
    if (field === undefined) return refuse(`ends before ${what}`);
    return pattern.test(field) ? field : refuse(`${JSON.stringify(field)} is not ${what}`);
  };

  const offset = Number(take("an offset of 8 digits", /^\d{8}$/));
  if (offset !== start) refuse(`says that it begins at byte ${offset}, and begins at ${start}`);
  take("a file number", /^\d\d$/);
  const type = take("a part of speech", /^[nvasr]$/);
  if ((type === "s" ? "a" : type) !== part) refuse(`${JSON.stringify(type)} is another part of speech than the file's`);
  const synset = words.length;
  const wordCount = Number.parseInt(take("a number of words", /^[\da-f]{2}$/i), 16);
  const list: string[] = [];
  for (let i = 0; i < wordCount; i++) {
    list.push(take("a word", /./).replace(marker, "").replaceAll("_", " "));
    take("a lexical number", /^[\da-f]$/i);
  }
  if (list.length === 0) refuse("has no words");
  const pointerCount = Number(take("a number of pointers", /^\d{3}$/));
  for (let i = 0; i < pointerCount; i++) {
    take("a pointer's symbol", /./);
    const target = Number(take("a pointer's offset", /^\d{8}$/));
    const targetPart = take("a pointer's part of speech", /^[nvasr]$/);
    take("a pointer's words", /^[\da-f]{4}$/i);
    pointers.push({
      from: synset,
      part: (targetPart === "s" ? "a" : targetPart) as PartOfSpeech,
      offset: target,
      line,
      file,
    });
  }
  // Verbs have their frames after the pointers.
  if (part === "v") {
    const frames = Number(take("a number of frames", /^\d\d$/));
    for (let i = 0; i < frames; i++) {
      take("a frame's +", /^\+$/);
      take("a frame's number", /^\d\d$/);
      take("a frame's word", /^[\da-f]{2}$/i);
    }
  }
  if (next < fields.length) refuse(`has ${JSON.stringify(fields[next])} where it should end`);
  places[part].set(offset, synset);
  words.push(list);
  partOf.push(part);
  glosses.push(bar < 0 ? "" : text.slice(bar + 2).trim());
}

/** Each pair of synsets once, however many pointers there are between their words; none from a synset to itself. */
function edgesOf({ words, pointers, places }: Reading): { from: Uint32Array; to: Uint32Array } {
  const from = new Uint32Array(pointers.length);
  const to = new Uint32Array(pointers.length);
  const lastFrom = new Int32Array(words.length).fill(-1);
  let edges = 0;
  // The pointers of a synset stand together, so that its last visitor is enough to know a target again.
  for (const { from: synset, part, offset, line, file } of pointers) {
    const target = places[part].get(offset);
    if (target === undefined) {
      const known = count(places[part].size);
      const name = files[part];
      throw new JobFailure("EBADMSG", `${file}, line ${line}: none of the ${known} synsets of ${name} is at ${offset}`);
    }
    if (lastFrom[target] === synset || target === synset) continue;
    lastFrom[target] = synset;
    from[edges] = synset;
    to[edges++] = target;
  }
  return { from: from.slice(0, edges), to: to.slice(0, edges) };
}
