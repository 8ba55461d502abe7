/**
 * Cuts the text of one large JSON object into pieces small enough for JSON.parse: `{"size":2,"rows":{"a":[1],"b":[2]}}`
 * becomes the lists ["size",2] and, within "rows", ["a",[1],"b",[2]]. A member whose value is an object is given member
 * by member; every other member whole. Names and values alternate in a list rather than make an object, so that no name
 * is reordered, merged or special, whatever it is ("7", "__proto__", "]").
 *
 * Invariant: cuts fall only on the commas between members, never inside a string; so each piece is whole UTF-8 and whole
 * JSON, and the text held at a time is one chunk and one member.
 */

import { JobFailure } from "../program/failure.js";
import { count, fileSize } from "../program/sizes.js";

export interface Members {
  /** The name of the member that these are members of; null for the outermost object. */
  readonly within: string | null;
  /** Name, value, name, value ... */
  readonly list: readonly unknown[];
}

const largestMember = 64 * 1024 ** 2;

const quote = 0x22;
const comma = 0x2c;
const colon = 0x3a;
const backslash = 0x5c;
const openBracket = 0x5b;
const closeBracket = 0x5d;
const openBrace = 0x7b;
const closeBrace = 0x7d;

const isStructural = new Uint8Array(256);
for (const byte of Buffer.from('",:[]{}')) isStructural[byte] = 1;

export class MemberSplitter {
  #depth = 0;
  #inString = false;
  #escaped = false;
  #within: string | null = null;
  #ended = false;
  /** Text since the last cut that came in earlier chunks. */
  #held: Buffer[] = [];
  #heldBytes = 0;
  #bytes = 0;

  /** Takes the next bytes of the text and may change them: the chunk is the splitter's from now on. */
  *push(bytes: Uint8Array): Generator<Members> {
    const chunk = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    let start = 0;
    let cut = -1;
    for (let i = this.#nextStructural(chunk, 0); i < chunk.length; i = this.#nextStructural(chunk, i + 1)) {
      switch (chunk[i]) {
        case comma:
          if (this.#depth === this.#memberDepth) cut = i;
          break;
        case colon:
          // From here on the text is a list: name, value, name, value.
          if (this.#depth === this.#memberDepth) chunk[i] = comma;
          break;
        case openBrace:
          this.#depth++;
          if (this.#depth === 1) start = i + 1;
          else if (this.#depth === 2 && this.#within === null) {
            yield* this.#openMember(chunk.subarray(start, i));
            start = i + 1;
            cut = -1;
          }
          break;
        case closeBrace:
          if (this.#depth === this.#memberDepth) {
            yield* this.#flush(chunk.subarray(start, i));
            start = i + 1;
            cut = -1;
            this.#within = null;
          }
          this.#depth--;
          this.#ended ||= this.#depth === 0;
          break;
        case openBracket:
          this.#depth++;
          break;
        case closeBracket:
          this.#depth--;
          break;
      }
    }
    if (cut >= 0) {
      yield* this.#flush(chunk.subarray(start, cut));
      start = cut + 1;
    }
    // A copy, for the chunk may be a window on a much larger buffer that would be kept alive.
    const rest = Buffer.from(chunk.subarray(start));
    this.#held.push(rest);
    this.#heldBytes += rest.length;
    this.#bytes += chunk.length;
    if (this.#heldBytes > largestMember) {
      throw new JobFailure("EBADMSG", `one member of the JSON takes more than ${fileSize(largestMember)}`);
    }
  }

  /** To be called after the last chunk: a text that stops early is an error. */
  end(): void {
    if (!this.#ended) throw new JobFailure("EBADMSG", `the JSON is cut off after ${count(this.#bytes)} bytes`);
  }

  /** The place of the next structural byte outside strings, from `from` on; most of the text is numbers and passes here. */
  #nextStructural(chunk: Buffer, from: number): number {
    let inString = this.#inString;
    let escaped = this.#escaped;
    const commas = this.#depth <= this.#memberDepth;
    let i = from;
    for (; i < chunk.length; i++) {
      const byte = chunk[i];
      if (inString) {
        if (escaped) escaped = false;
        else if (byte === backslash) escaped = true;
        else if (byte === quote) inString = false;
      } else if (isStructural[byte] === 1) {
        if (byte === quote) inString = true;
        else if (commas || byte !== comma) break;
      }
    }
    this.#inString = inString;
    this.#escaped = escaped;
    return i;
  }

  get #memberDepth(): number {
    return this.#within === null ? 1 : 2;
  }

  /** The held text ends with the name of a member whose value is an object: gives what came before, remembers the name. */
  *#openMember(text: Buffer): Generator<Members> {
    const list = this.#parse(text);
    const name = list.pop();
    if (list.length > 0) yield { within: null, list };
    if (typeof name !== "string")
      throw new JobFailure("EBADMSG", `the JSON has no name before an object, near byte ${count(this.#bytes)}`);
    this.#within = name;
  }

  *#flush(text: Buffer): Generator<Members> {
    const list = this.#parse(text);
    if (list.length > 0) yield { within: this.#within, list };
  }

  #parse(text: Buffer): unknown[] {
    const whole = this.#held.length === 0 ? text : Buffer.concat([...this.#held, text]);
    this.#held = [];
    this.#heldBytes = 0;
    // A comma stands first after a member that was an object, last before one.
    const members = whole.toString().trim().replace(/^,/, "").replace(/,$/, "");
    try {
      return JSON.parse(`[${members}]`) as unknown[];
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      throw new JobFailure("EBADMSG", `not JSON near byte ${count(this.#bytes)}: ${why}`, { cause: error });
    }
  }
}
