/**
 * The uniform with which a step is run: the words that its text uses, no others, four to a vector. Every load of a uniform takes
 * its time, for each invocation: so a function that uses several words of a vector loads the vector, once.
 */

import type { DispatchShape } from "../../driver.js";
import { RESERVED } from "./names.js";

export type StepWord =
  /** The first of the step's workgroups, numbered as invocations are. */
  | { readonly of: "first" }
  /** Of the whole dispatch, in one dimension. */
  | { readonly of: "invocations" | "workgroups"; readonly axis: 0 | 1 | 2 }
  /** Of a based array: the element that its part begins with, that less the length of the part, the length of the whole array. */
  | { readonly of: "base" | "baseLessPart" | "length"; readonly array: string };

/** What the words are of. */
export interface StepValues {
  readonly first: number;
  readonly invocations: DispatchShape;
  readonly workgroups: DispatchShape;
  /** By the name of each based array; in elements. */
  readonly parts: Readonly<Record<string, ArrayPart>>;
}

export interface ArrayPart {
  readonly base: number;
  readonly part: number;
  readonly length: number;
}

/** Writes the words into the uniform. */
export function writeStepWords(into: Uint32Array, words: readonly StepWord[], values: StepValues): void {
  for (const [n, word] of words.entries()) into[n] = valueOf(word, values);
}

function valueOf(word: StepWord, { first, invocations, workgroups, parts }: StepValues): number {
  switch (word.of) {
    case "first":
      return first;
    case "invocations":
      return invocations[word.axis];
    case "workgroups":
      return workgroups[word.axis];
    case "base":
      return parts[word.array].base;
    case "baseLessPart":
      return parts[word.array].base - parts[word.array].part;
    case "length":
      return parts[word.array].length;
    default:
      return word satisfies never;
  }
}

/** The variable. */
export const STEP = `${RESERVED}step`;
const VECTOR = `${RESERVED}words_`;
const COMPONENTS = "xyzw";

/** Those of a module, in the order in which its text first uses them. */
export class StepWords {
  readonly list: StepWord[] = [];
  readonly #names: string[] = [];

  get bytes(): number {
    return 16 * Math.max(1, Math.ceil(this.list.length / 4));
  }

  /** The variable as text; to be asked for when all functions have been written. */
  declaration(binding: number): string {
    return `@group(0) @binding(${binding}) var<uniform> ${STEP}: array<vec4u, ${this.bytes / 16}>;`;
  }

  numberOf(word: StepWord): number {
    const name = nameOf(word);
    const known = this.#names.indexOf(name);
    if (known >= 0) return known;
    this.#names.push(name);
    return this.list.push(word) - 1;
  }
}

/** Those that one function of the module uses. */
export class FunctionWords {
  readonly #words: StepWords;
  readonly #names = new Map<number, string>();

  constructor(words: StepWords) {
    this.#words = words;
  }

  /** The name that a word has in the function. */
  use(word: StepWord): string {
    const name = nameOf(word);
    this.#names.set(this.#words.numberOf(word), name);
    return name;
  }

  /** Statements for the beginning of the function. */
  get declarations(): readonly string[] {
    const vectors = new Map<number, string[]>();
    for (const [number, name] of this.#names) {
      const vector = number >>> 2;
      vectors.set(vector, [
        ...(vectors.get(vector) ?? []),
        `let ${name} = ${VECTOR}${vector}.${COMPONENTS[number & 3]};`,
      ]);
    }
    return [...vectors].flatMap(([vector, lets]) => {
      const load = `${STEP}[${vector}]`;
      const name = `${VECTOR}${vector}`;
      return lets.length === 1 ? [lets[0].replace(name, load)] : [`let ${name} = ${load};`, ...lets];
    });
  }
}

function nameOf(word: StepWord): string {
  if (word.of === "first") return `${RESERVED}first`;
  return "axis" in word ? `${RESERVED}${word.of}_${COMPONENTS[word.axis]}` : `${RESERVED}${word.of}_of_${word.array}`;
}
