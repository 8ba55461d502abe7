/** Reading and writing places: variables of single numbers, and words in memory. */

import { type Compilation, isSimple } from "./compilation.js";
import { loadPaged, pagedElement, storePaged } from "./paged-places.js";
import type { SyntaxNode } from "./parse.js";
import {
  type ArrayOf,
  countOf,
  hasAtomic,
  type Leaf,
  leavesOf,
  nameOfType,
  type Struct,
  type Type,
  U32,
  wordsBefore,
  wordsOfElement,
} from "./types.js";
import type { Place, Root, StorageUse, Value } from "./value.js";

/** Numbers of a value that is used as a whole: each is a variable. */
const MOST_NUMBERS = 1024;

/** The value that a place holds. */
export function load(c: Compilation, node: SyntaxNode, place: Place): Value {
  switch (place.kind) {
    case "names":
      return { type: place.type, parts: place.names };
    case "component":
      return { type: place.type, parts: [choose(c, place.names, place.index)] };
    case "storage":
      return c.refuse(node, `array "${place.root.storage.name}" of storage cannot be used as a whole`);
    case "memory": {
      if (hasAtomic(place.type)) c.refuse(node, "an atomic is read by atomicLoad");
      const leaves = leavesWithin(c, node, place);
      noteRead(place.root);
      if (place.page !== undefined) return { type: place.type, parts: loadPaged(c, place, place.page, leaves) };
      return { type: place.type, parts: leaves.map((leaf) => loadLeaf(c, place, leaf)) };
    }
  }
}

/** Writes a value of the place's type. */
export function store(c: Compilation, node: SyntaxNode, place: Place, value: Value): void {
  const access = place.kind === "memory" || place.kind === "storage" ? place.root.access : place.access;
  if (access === "read") c.refuse(node, "what is read only cannot be written");
  switch (place.kind) {
    case "names": {
      // Parts may read what is written: `v = v.yx`.
      const { parts } = place.names.length > 1 ? c.settle(value) : value;
      place.names.forEach((name, i) => c.emit(`${name} = ${parts[i]};`));
      return;
    }
    case "component": {
      const [part] = c.settle(value).parts;
      const last = place.names.length - 1;
      const tests = place.names.map((name, i) =>
        i === last ? `${name} = ${part};` : `if (${place.index} === ${i}) ${name} = ${part};`,
      );
      c.emit(tests.join(" else "));
      return;
    }
    case "storage":
      return c.refuse(node, `array "${place.root.storage.name}" of storage cannot be written as a whole`);
    case "memory": {
      if (hasAtomic(place.type)) c.refuse(node, "an atomic is written by atomicStore");
      const leaves = leavesWithin(c, node, place);
      if (place.root.storage !== undefined) place.root.storage.written = true;
      const { parts } = leaves.length > 1 ? c.settle(value) : value;
      if (place.page !== undefined) return storePaged(c, place, place.page, leaves, parts);
      leaves.forEach((leaf, i) => c.emit(storeLeaf(c, place, leaf, parts[i])));
    }
  }
}

/** Makes all of a place in the kernel's own memory 0. */
export function clear(c: Compilation, place: Place & { kind: "memory" }): void {
  // All words are the same, whatever is read from them: +0, 0 and false.
  c.emit(`${c.view(place.root, "u32")}.fill(0, ${place.word}, ${place.word + countOf(place.type)});`);
}

/** The place of a vector's component, or of an element, by an index that is i32 or u32. */
export function indexPlace(c: Compilation, node: SyntaxNode, place: Place, index: Value): Place {
  const constant = index.constants === undefined ? null : Number(index.constants[0]);
  if (place.kind === "storage") return storageElement(c, place.root, index, node);
  if (place.type.kind !== "vector" && place.type.kind !== "array") {
    return c.refuse(node, `${nameOfType(place.type)} has no elements`);
  }
  const length = lengthOf(place.type);
  if (constant !== null && (constant < 0 || constant >= length)) {
    c.refuse(node, `index ${constant} is outside of ${nameOfType(place.type)}`);
  }
  if (place.kind === "component") return c.refuse(node, `${nameOfType(place.type)} has no elements`);
  const { of } = place.type;
  if (place.kind === "names") {
    const { access, names } = place;
    const each = names.length / length;
    if (constant !== null) {
      return { kind: "names", type: of, names: names.slice(constant * each, (constant + 1) * each), access };
    }
    if (place.type.kind === "array") return c.refuse(node, "an array in variables is indexed by constants only");
    return { kind: "component", type: place.type.of, names, index: clampIndex(c, index, length), access };
  }
  const words = place.type.kind === "vector" ? 1 : wordsOfElement(place.type, place.root.packed);
  if (constant !== null) return { ...place, type: of, word: place.word + constant * words };
  const at = scaled(clampIndex(c, index, length), words);
  return { ...place, type: of, dynamic: c.settlePart(place.dynamic === "" ? at : `${place.dynamic} + ${at} >>> 0`) };
}

export function memberPlace(place: Place, type: Struct, member: number): Place | null {
  const { type: of } = type.members[member];
  if (place.kind === "memory") {
    return { ...place, type: of, word: place.word + wordsBefore(type, member, place.root.packed) };
  }
  if (place.kind !== "names") return null;
  const first = wordsBefore(type, member, true);
  return { ...place, type: of, names: place.names.slice(first, first + countOf(of)) };
}

/**
 * An element of an array of storage. What is outside of the whole array is its last element, as WebGPU may have it; what is
 * outside of the elements that the invocation declared to use is an error, thrown by `outside`.
 */
export function storageElement(
  c: Compilation,
  root: Root & { readonly storage: StorageUse },
  index: Value,
  node: SyntaxNode,
): Place {
  const { prefix, storage } = root;
  const wanted = unsigned(c, index);
  if (c.paged) return pagedElement(c, root, wanted, node);
  const isWhole = (c.footprint[storage.name] ?? "whole") === "whole";
  const relative = isWhole ? wanted : c.settlePart(`(${wanted} - ${prefix}Low) >>> 0`);
  const words = wordsOfElement({ kind: "array", of: storage.element, length: null }, false);
  const found = `(${relative} < ${prefix}Count ? ${relative} : outside(${storage.number}, ${wanted}, ${prefix}Low, ${prefix}Count, ${prefix}Length, ${node.start}) >>> 0)`;
  const dynamic = c.settlePart(`${scaled(found, words)} + ${prefix}Word >>> 0`);
  return { kind: "memory", type: storage.element, root, dynamic, word: 0 };
}

/** A part of parts, by an index within bounds. */
export function choose(c: Compilation, parts: readonly string[], index: string): string {
  const simple = parts.map((part) => (isSimple(part) ? part : c.settlePart(part)));
  return simple
    .slice(0, -1)
    .reduceRight((rest, part, i) => `(${index} === ${i} ? ${part} : ${rest})`, simple[simple.length - 1]);
}

/** An index within bounds; the last one for any that is not. */
export function clampIndex(c: Compilation, index: Value, length: number): string {
  const wanted = unsigned(c, index);
  return c.settlePart(`${wanted} < ${length} ? ${wanted} : ${length - 1}`);
}

/** An index as u32: what is negative is far outside. */
function unsigned(c: Compilation, { type, parts }: Value): string {
  return c.settlePart(type === U32 ? parts[0] : `${parts[0]} >>> 0`);
}

function scaled(index: string, words: number): string {
  return words === 1 ? index : `${index} * ${words}`;
}

function lengthOf(type: (Type & { kind: "vector" }) | ArrayOf): number {
  return type.kind === "vector" ? type.size : (type.length ?? 0);
}

function leavesWithin(c: Compilation, node: SyntaxNode, { type, root }: Place & { kind: "memory" }): Leaf[] {
  const count = countOf(type);
  if (count > MOST_NUMBERS)
    c.refuse(node, `${nameOfType(type)} is used as a whole, which more than ${MOST_NUMBERS} numbers are not`);
  return leavesOf(type, root.packed);
}

export function noteRead(root: Root): void {
  if (root.storage !== undefined) root.storage.read = true;
}

export function loadLeaf(c: Compilation, place: Place & { kind: "memory" }, { scalar, word }: Leaf): string {
  const read = `${c.view(place.root, scalar)}[${wordOf(place, word)}]`;
  return scalar === "bool" ? `(${read} !== 0)` : read;
}

export function storeLeaf(
  c: Compilation,
  place: Place & { kind: "memory" },
  { scalar, word }: Leaf,
  part: string,
): string {
  return `${c.view(place.root, scalar)}[${wordOf(place, word)}] = ${scalar === "bool" ? `${part} ? 1 : 0` : part};`;
}

function wordOf({ dynamic, word }: { dynamic: string; word: number }, more: number): string {
  if (dynamic === "") return String(word + more);
  return word + more === 0 ? dynamic : `${dynamic} + ${word + more}`;
}
