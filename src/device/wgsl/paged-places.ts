/**
 * Elements of arrays that are reached page by page, in kernels compiled for paged dispatches. Where a page is, is asked of
 * `p`, the pages of the unit that runs (`compiled/unit-pages.ts`): a word of device memory comes back, or less than 0 for what is not
 * there. What is on one page is asked for once; what is read of it stays an expression, as elsewhere.
 *
 * Names in the generated code, for array N: `sNPage` its first page among those of all arrays, `sNShift` and `sNMask` turn
 * an element's number into a page and an element on it.
 */

import type { Compilation } from "./compilation.js";
import type { SyntaxNode } from "./parse.js";
import { type Leaf, type ScalarName, wordsOfElement } from "./types.js";
import { SOME_MISSED, VALUE_MISSED } from "./compiled/unit-pages.js";
import type { Place, Root, StorageUse } from "./value.js";

type MemoryPlace = Place & { readonly kind: "memory" };

/** The place of an element; `wanted` is a settled u32. Past the end is what it is elsewhere, as long as nothing is missing. */
export function pagedElement(
  c: Compilation,
  root: Root & { readonly storage: StorageUse },
  wanted: string,
  node: SyntaxNode,
): Place {
  const { prefix: s, storage } = root;
  const isWhole = (c.footprint[storage.name] ?? "whole") === "whole";
  const relative = isWhole ? wanted : c.settlePart(`(${wanted} - ${s}Low) >>> 0`);
  const element = c.settlePart(`(${relative} < ${s}Count ? ${wanted} : ${outside(storage, wanted, node)})`);
  const page = c.settlePart(`(${element} < 0 ? -1 : ${s}Page + (${element} >>> ${s}Shift))`);
  const words = wordsOfElement({ kind: "array", of: storage.element, length: null }, false);
  const dynamic = c.settlePart(`(${element} & ${s}Mask) * ${words}`);
  return { kind: "memory", type: storage.element, root, dynamic, word: 0, page };
}

/** Written at the start of each unit: where a variable of storage is that is no array. */
export function pageOfOnly(storage: StorageUse, node: SyntaxNode): string {
  const s = `s${storage.number}`;
  return `var ${s}Only = (0 - ${s}Low >>> 0 < ${s}Count ? ${s}Page : ${outside(storage, "0", node)});`;
}

function outside({ number }: StorageUse, wanted: string, node: SyntaxNode): string {
  const s = `s${number}`;
  return `p.outside(${number}, ${wanted}, ${s}Low, ${s}Count, ${s}Length, ${node.start})`;
}

export function loadPaged(c: Compilation, place: MemoryPlace, page: string, leaves: readonly Leaf[]): string[] {
  // An integer may be an index or end a loop: without it there is no saying what else the unit uses.
  const how = leaves.some(({ scalar }) => scalar !== "f32") ? VALUE_MISSED : SOME_MISSED;
  const at = c.settlePart(`p.reach(${page}, ${wordOf(place)}, ${how})`);
  return leaves.map((leaf) => loadReached(leaf, at));
}

export function storePaged(
  c: Compilation,
  place: MemoryPlace,
  page: string,
  leaves: readonly Leaf[],
  parts: readonly string[],
): void {
  const at = c.settlePart(`p.reachToWrite(${page}, ${wordOf(place)}, ${SOME_MISSED})`);
  leaves.forEach((leaf, i) => c.emit(storeReached(leaf, at, parts[i])));
}

/** Where an atomic is; what changes it stores to its page, whatever it returns. */
export function reachAtomic(c: Compilation, place: MemoryPlace, page: string, writes: boolean): string {
  const reach = writes ? "reachToWrite" : "reach";
  return c.settlePart(`p.${reach}(${page}, ${wordOf(place)}, ${VALUE_MISSED})`);
}

export function loadReached({ scalar, word }: Leaf, at: string): string {
  const view = viewOf(scalar);
  return `(${at} < 0 ? p.away${view.toUpperCase()}(${at}, ${word}) : d${view}[${at} + ${word}])`;
}

/** A unit that misses a page stores nothing. */
export function storeReached({ scalar, word }: Leaf, at: string, part: string): string {
  return `if (${at} >= 0 && p.keep(${at} + ${word})) d${viewOf(scalar)}[${at} + ${word}] = ${part};`;
}

/** The first statement of a loop: one that has lost what would end it must end all the same. */
export function loopEnd(label: string): string {
  return `if (p.missed !== 0 && p.endsLoop()) break ${label};`;
}

function viewOf(scalar: ScalarName): "f" | "i" | "u" {
  return scalar === "f32" ? "f" : scalar === "i32" ? "i" : "u";
}

function wordOf({ dynamic, word }: MemoryPlace): string {
  if (dynamic === "") return String(word);
  return word === 0 ? dynamic : `${dynamic} + ${word}`;
}
