/**
 * Functions of ours that a paged module calls: from an element to its address, loads and stores at addresses, atomics. Each
 * is written when it is first asked for, so that a module has those that it uses.
 *
 * Three ways to come to an address. *Note* tells the host that the page is used, or that it is missed where it is not here; what
 * is loaded then reads as 0xFFFFFFFF, because the trap page is full of it. *Look* has no branch, and is right where every page
 * has been noted in this round already, which it says. *Trace* has no branch either, and keeps which page each site of the text
 * has used, to be noted at the end: for sites that are used once at most. *Check* is for units that have noted their pages: what has not been
 * noted is taken from the trap page, and the unit did what it must not.
 */

import type { Type } from "../../types.js";
import { matrixName, nameOfType, strideOfArray } from "../../types.js";
import { RESERVED } from "../names.js";
import { COUNTERS } from "./contract.js";
import { columnWords, type PagedArray } from "./paths.js";

export type Lookup = "note" | "look" | "trace" | "check";

export interface MemoryShape {
  readonly pageSize: number;
  readonly pools: number;
  /** Bits of an address that are its word in a pool. */
  readonly poolShift: number;
  /** Pools are declared with atomic words. */
  readonly atomic: boolean;
}

export interface AddressUse {
  readonly lookup: Lookup;
  readonly write: boolean;
  readonly critical: boolean;
  readonly dependent: boolean;
  /** The number of the place in the text. */
  readonly site: number;
}

/** Elements of an array up to which a load of all of them is written out. */
const MOST_WRITTEN_OUT = 16;

export const PARAMETERS_NAME = `${RESERVED}parameters`;
export const TABLES_NAME = `${RESERVED}tables`;
export const STATE_NAME = `${RESERVED}state`;
/**
 * Private: a page was missed; some page has not been noted yet; a page was missed without which addresses are not known; 1 + an
 * array that was used where nobody had noted it.
 */
export const MISSED = `${RESERVED}missed`;
export const UNNOTED = `${RESERVED}unnoted`;
export const STOPPED = `${RESERVED}stopped`;
export const VIOLATION = `${RESERVED}violation`;
/** A function that tells all invocations of a workgroup whether any of them has to leave a loop; each sets `LANE` before. */
export const ANY_STOPS = `${RESERVED}any_stops`;
export const LANE = `${RESERVED}lane`;

export class Accessors {
  readonly #memory: MemoryShape;
  readonly #texts = new Map<string, string>();

  constructor(memory: MemoryShape) {
    this.#memory = memory;
  }

  get text(): string {
    return [...this.#texts.values()].join("\n");
  }

  /** The function from an element's number to its address. */
  address({ number, use, words }: PagedArray, how: AddressUse): string {
    const { lookup, write, critical, dependent, site } = how;
    const flags = `${write ? "w" : "r"}${lookup === "note" && critical ? "c" : ""}${lookup === "note" && dependent ? "d" : ""}`;
    const name = `${RESERVED}${lookup}_${lookup === "trace" ? site : flags}_${number}`;
    return this.#function(name, () => {
      const wordShift = Math.log2(this.#memory.pageSize / 4);
      const elementShift = wordShift - Math.log2(words);
      const own = (what: string): string => `${PARAMETERS_NAME}.${what}_${number}`;
      const limit = use.length === null ? own("last") : `min(${own("last")}, ${use.length - 1}u)`;
      return [
        `fn ${name}(index: u32) -> u32 {`,
        `  let element = min(index, ${limit});`,
        `  let page = ${own("first")} + (element >> ${elementShift}u);`,
        ...this.#wordOf(number, how),
        `  return (word << ${wordShift}u) | ((element & ${2 ** elementShift - 1}u) * ${words}u);`,
        "}",
      ].join("\n");
    });
  }

  #wordOf(number: number, { lookup, write, critical, dependent, site }: AddressUse): string[] {
    const isGood = write ? "word >= 0x80000000u" : "word != 0u";
    const isNoted = write ? "word >= 0xc0000000u" : "(word & 0x40000000u) != 0u";
    const known = `atomicLoad(&${STATE_NAME}[page])`;
    switch (lookup) {
      case "look":
        return [`  let word = ${known};`, `  ${UNNOTED} = ${UNNOTED} || !(${isNoted});`];
      case "trace": {
        const used = `page + 1u${write ? " + 0x80000000u" : ""}`;
        const unless = (value: string): string => (dependent ? `select(${value}, 0u, ${STOPPED})` : value);
        return [
          `  ${traced(site)} = ${unless(used)};`,
          `  let word = ${unless(known)};`,
          `  ${UNNOTED} = ${UNNOTED} || !(${isNoted});`,
          ...(critical ? [`  ${STOPPED} = ${STOPPED} || word == 0u;`] : []),
        ];
      }
      case "note": {
        const note = `${this.#note()}(page, ${write}, ${critical}, ${dependent})`;
        return [`  var word = ${known};`, `  if (!(${isNoted})) { word = ${note}; }`];
      }
      case "check": {
        const violation = `  ${VIOLATION} = select(${number + 1}u, ${VIOLATION}, good);`;
        const lines = [`  var word = ${TABLES_NAME}[page];`, `  let good = ${isGood};`, violation];
        return write ? [...lines, "  word = select(0u, word, good);"] : lines;
      }
    }
  }

  /** The function that loads a value of a type. */
  load(type: Type): string {
    const name = `${RESERVED}load_${mangled(type)}`;
    return this.#function(name, () => {
      const body = this.#loadBody(type);
      return `fn ${name}(at: u32) -> ${nameOfType(type)} {\n${body}\n}`;
    });
  }

  #loadBody(type: Type): string {
    const part = (of: Type, words: number): string => `${this.load(of)}(at${words === 0 ? "" : ` + ${words}u`})`;
    switch (type.kind) {
      case "scalar":
        return type.name === "u32" ? this.#loadWord() : `  return bitcast<${type.name}>(${this.load(U32)}(at));`;
      case "atomic":
        return `  return ${this.load(type.of)}(at);`;
      case "vector": {
        const parts = Array.from({ length: type.size }, (_, i) => part(type.of, i));
        return `  return ${nameOfType(type)}(${parts.join(", ")});`;
      }
      case "matrix": {
        const column: Type = { kind: "vector", size: type.rows, of: { kind: "scalar", name: "f32" } };
        const parts = Array.from({ length: type.columns }, (_, i) => part(column, i * columnWords(type.rows)));
        return `  return ${nameOfType(type)}(${parts.join(", ")});`;
      }
      case "array": {
        const words = strideOfArray(type) / 4;
        const length = type.length ?? 0;
        if (length <= MOST_WRITTEN_OUT) {
          const parts = Array.from({ length }, (_, i) => part(type.of, i * words));
          return `  return ${nameOfType(type)}(${parts.join(", ")});`;
        }
        return `  var all: ${nameOfType(type)};\n  for (var i = 0u; i < ${length}u; i++) { all[i] = ${this.load(type.of)}(at + i * ${words}u); }\n  return all;`;
      }
      case "struct": {
        const parts = type.members.map((member) => part(member.type, member.offset / 4));
        return `  return ${type.name}(${parts.join(", ")});`;
      }
    }
  }

  /** The function that stores a value of a type: the words of its members, and none between them. */
  store(type: Type): string {
    const name = `${RESERVED}store_${mangled(type)}`;
    return this.#function(name, () => `fn ${name}(at: u32, value: ${nameOfType(type)}) {\n${this.#storeBody(type)}\n}`);
  }

  #storeBody(type: Type): string {
    const part = (of: Type, words: number, value: string): string =>
      `  ${this.store(of)}(at${words === 0 ? "" : ` + ${words}u`}, ${value});`;
    const lines: string[] = [];
    switch (type.kind) {
      case "scalar":
        return type.name === "u32" ? this.#storeWord() : `  ${this.store(U32)}(at, bitcast<u32>(value));`;
      case "atomic":
        return `  ${this.store(type.of)}(at, value);`;
      case "vector":
        for (let i = 0; i < type.size; i++) lines.push(part(type.of, i, `value[${i}]`));
        return lines.join("\n");
      case "matrix": {
        const column: Type = { kind: "vector", size: type.rows, of: { kind: "scalar", name: "f32" } };
        for (let i = 0; i < type.columns; i++) lines.push(part(column, i * columnWords(type.rows), `value[${i}]`));
        return lines.join("\n");
      }
      case "array": {
        const words = strideOfArray(type) / 4;
        return `  var all = value;\n  for (var i = 0u; i < ${type.length ?? 0}u; i++) { ${this.store(type.of)}(at + i * ${words}u, all[i]); }`;
      }
      case "struct":
        for (const member of type.members) lines.push(part(member.type, member.offset / 4, `value.${member.name}`));
        return lines.join("\n");
    }
  }

  /** An atomic function at an address. */
  atomic(called: string, type: "i32" | "u32"): string {
    const name = `${RESERVED}${called}_${type}`;
    return this.#function(name, () => this.#atomicText(name, called, type));
  }

  /** What stands for an atomic function while pages are touched: it gives back what is there, and stores nothing. */
  peek(called: string, type: "i32" | "u32"): string {
    const name = `${RESERVED}peek_${called}_${type}`;
    const load = this.load({ kind: "scalar", name: type });
    return this.#function(name, () => {
      if (called === "atomicStore") return `fn ${name}(at: u32, value: ${type}) {}`;
      if (called !== "atomicCompareExchangeWeak")
        return `fn ${name}(at: u32, value: ${type}) -> ${type} { return ${load}(at); }`;
      const result = this.#exchanged(type);
      return `fn ${name}(at: u32, compared: ${type}, value: ${type}) -> ${result} { return ${result}(${load}(at), true); }`;
    });
  }

  #atomicText(name: string, called: string, type: "i32" | "u32"): string {
    const to = (value: string): string => (type === "u32" ? value : `bitcast<u32>(${value})`);
    const from = (value: string): string => (type === "u32" ? value : `bitcast<i32>(${value})`);
    const at = (use: (word: string) => string): string => this.#inPool((word) => use(`&${word}`));
    if (called === "atomicStore") {
      return `fn ${name}(at: u32, value: ${type}) {\n${at((word) => `atomicStore(${word}, ${to("value")});`)}\n}`;
    }
    if (called === "atomicCompareExchangeWeak") {
      const result = this.#exchanged(type);
      const body = at(
        (word) =>
          `let got = ${called}(${word}, ${to("compared")}, ${to("value")}); return ${result}(${from("got.old_value")}, got.exchanged);`,
      );
      return `fn ${name}(at: u32, compared: ${type}, value: ${type}) -> ${result} {\n${body}${this.#unreached(`${result}(0${type[0]}, false)`)}\n}`;
    }
    if (type === "i32" && (called === "atomicMin" || called === "atomicMax")) {
      // Words are unsigned.
      const exchange = this.atomic("atomicCompareExchangeWeak", "i32");
      const load = this.load({ kind: "scalar", name: "i32" });
      const best = called === "atomicMin" ? "min" : "max";
      return `fn ${name}(at: u32, value: i32) -> i32 {
  var before = ${load}(at);
  loop {
    let got = ${exchange}(at, before, ${best}(before, value));
    if (got.exchanged) { break; }
    before = got.old_value;
  }
  return before;
}`;
    }
    const body = at((word) => `return ${from(`${called}(${word}, ${to("value")})`)};`);
    return `fn ${name}(at: u32, value: ${type}) -> ${type} {\n${body}${this.#unreached(`0${type[0]}`)}\n}`;
  }

  #exchanged(type: "i32" | "u32"): string {
    const name = `${RESERVED}exchanged_${type}`;
    return this.#function(name, () => `struct ${name} { old_value: ${type}, exchanged: bool }`);
  }

  #loadWord(): string {
    const { atomic } = this.#memory;
    const body = this.#inPool((word) => (atomic ? `return atomicLoad(&${word});` : `return ${word};`));
    return `${body}${this.#unreached("0u")}`;
  }

  #storeWord(): string {
    const { atomic } = this.#memory;
    return this.#inPool((word) => (atomic ? `atomicStore(&${word}, value);` : `${word} = value;`));
  }

  /** A statement with the word at address `at`, in whichever pool that is. */
  #inPool(statement: (word: string) => string): string {
    const { pools, poolShift } = this.#memory;
    if (pools === 1) return `  ${statement(`${RESERVED}pool_0[at]`)}`;
    const mask = `${2 ** poolShift - 1}u`;
    const cases = Array.from({ length: pools }, (_, pool) => {
      const label = pool === pools - 1 ? "default" : `case ${pool}u`;
      return `    ${label}: { ${statement(`${RESERVED}pool_${pool}[at & ${mask}]`)} }`;
    });
    return `  switch (at >> ${poolShift}u) {\n${cases.join("\n")}\n  }`;
  }

  /** After a switch whose cases all return, which not every compiler sees. */
  #unreached(value: string): string {
    return this.#memory.pools === 1 ? "" : `\n  return ${value};`;
  }

  /** Notes what `sites` have used, which "trace" has kept. */
  noteTraced(sites: readonly number[]): string {
    const note = this.#note();
    const used = sites.reduceRight(
      (rest, site, i) => (rest === "" ? traced(site) : `select(${rest}, ${traced(site)}, i == ${i}u)`),
      "",
    );
    return `for (var i = 0u; i < ${sites.length}u; i++) {
    let used = ${used};
    if (used != 0u) { ${note}((used & 0x7fffffffu) - 1u, used >= 0x80000000u, false, false); }
  }`;
  }

  /** Tells the host of a page; 0 where it is not here, or is not to be looked at. */
  #note(): string {
    const name = `${RESERVED}note`;
    return this.#function(name, () => {
      const bit = (region: string): string =>
        `atomicOr(&${STATE_NAME}[${PARAMETERS_NAME}.${region} + (page >> 5u)], 1u << (page & 31u));`;
      return `fn ${name}(page: u32, write: bool, critical: bool, dependent: bool) -> u32 {
  if (dependent && ${STOPPED}) { return 0u; }
  let word = ${TABLES_NAME}[page];
  ${bit("touched")}
  if (word != 0u) { atomicOr(&${STATE_NAME}[page], 0x40000000u); }
  if (word != 0u && (!write || word >= 0x80000000u)) { return word; }
  ${MISSED} = true;
  if (write) { ${bit("writes")} }
  if (word == 0u) {
    ${bit("missed")}
    ${STOPPED} = ${STOPPED} || critical;
  }
  return word;
}`;
    });
  }

  #function(name: string, write: () => string): string {
    if (!this.#texts.has(name)) {
      // Its place is after those that it calls, which WGSL does not need but readers like.
      const text = write();
      this.#texts.set(name, text);
    }
    return name;
  }
}

const U32: Type = { kind: "scalar", name: "u32" };

/** Private: 1 + the page that a site has used, with bit 31 where it is stored to; 0 for none. */
export function traced(site: number): string {
  return `${RESERVED}used_${site}`;
}

/** The statement that says that a unit has done what it must not. */
export function reportViolation(): string {
  return `if (${VIOLATION} != 0u) { atomicStore(&${STATE_NAME}[${PARAMETERS_NAME}.counters + ${COUNTERS.violation}u], ${VIOLATION}); }`;
}

function mangled(type: Type): string {
  switch (type.kind) {
    case "scalar":
      return type.name;
    case "atomic":
      return type.of.name;
    case "vector":
      return `vec${type.size}${type.of.name}`;
    case "matrix":
      return matrixName(type);
    case "array":
      return `array_${mangled(type.of)}_${type.length ?? 0}`;
    case "struct":
      return `struct_${type.name}`;
  }
}
