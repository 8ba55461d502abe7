/**
 * Atomic functions. Invocations run one after another here, so that what is read, changed and written in one go is atomic;
 * there is no order among invocations that another device would have to keep.
 */

import type { Compilation } from "./compilation.js";
import { convert } from "./arithmetic.js";
import { writeBinary } from "./operators.js";
import type { FunctionCallExpression } from "./parse.js";
import { loadReached, reachAtomic, storeReached } from "./paged-places.js";
import { loadLeaf, noteRead, storeLeaf } from "./places.js";
import { BOOL, type Struct, U32 } from "./types.js";
import type { Place, Value } from "./value.js";

/** What is written in place of what was there, by the operator or function. */
const CHANGES: Readonly<Record<string, string>> = {
  atomicAdd: "+",
  atomicSub: "-",
  atomicAnd: "&",
  atomicOr: "|",
  atomicXor: "^",
  atomicMax: "max",
  atomicMin: "min",
  atomicExchange: "",
};

export function isAtomicFunction(name: string): boolean {
  return (
    Object.hasOwn(CHANGES, name) ||
    name === "atomicLoad" ||
    name === "atomicStore" ||
    name === "atomicCompareExchangeWeak"
  );
}

export function atomicCall(c: Compilation, node: FunctionCallExpression, name: string): Value | null {
  const count = name === "atomicLoad" ? 1 : name === "atomicCompareExchangeWeak" ? 3 : 2;
  if (node.arguments.length !== count) c.refuse(node, `${name} takes ${count} arguments, not ${node.arguments.length}`);
  const place = c.reader.pointerOf(c, node.arguments[0]);
  if (place?.kind !== "memory" || place.type.kind !== "atomic")
    return c.refuse(node, `${name} takes a pointer to an atomic`);
  const type = place.type.of;
  if (place.root.access === "read") c.refuse(node, "an atomic needs storage that can be written");
  const [value, other] = node.arguments
    .slice(1)
    .map((argument) => c.settle(convert(c, argument, c.reader.expression(c, argument), type)).parts[0]);
  const leaf = { scalar: type.name, word: 0 };
  const storage = place.root.storage;
  if (name !== "atomicStore") noteRead(place.root);
  if (name !== "atomicLoad" && storage !== undefined) storage.written = true;
  const at = place.page === undefined ? null : reachAtomic(c, place, place.page, name !== "atomicLoad");
  const write = (part: string): void =>
    c.emit(at === null ? storeLeaf(c, place, leaf, part) : storeReached(leaf, at, part));
  if (name === "atomicStore") {
    write(value);
    return null;
  }
  const before = c.settlePart(at === null ? loadLeaf(c, place, leaf) : loadReached(leaf, at));
  if (name === "atomicCompareExchangeWeak") return exchangeIf(c, place, before, value, other, write);
  if (name !== "atomicLoad") write(changed(c, CHANGES[name], type.name as "i32" | "u32", before, value));
  return { type, parts: [before] };
}

function changed(c: Compilation, how: string, scalar: "i32" | "u32", before: string, value: string): string {
  if (how === "") return value;
  if (how === "max" || how === "min") return c.call(how, before, value);
  return writeBinary(how, scalar, before, value, c.call);
}

function exchangeIf(
  c: Compilation,
  { type }: Place & { kind: "memory" },
  before: string,
  expected: string,
  value: string,
  write: (part: string) => void,
): Value {
  const exchanged = c.settlePart(`${before} === ${expected}`);
  c.emit(`if (${exchanged})`);
  write(value);
  const of = type.kind === "atomic" ? type.of : U32;
  const result: Struct = {
    kind: "struct",
    name: "__atomic_compare_exchange_result",
    members: [
      { name: "old_value", type: of, offset: 0 },
      { name: "exchanged", type: BOOL, offset: 4 },
    ],
    size: 8,
    align: 4,
  };
  return { type: result, parts: [before, exchanged] };
}
