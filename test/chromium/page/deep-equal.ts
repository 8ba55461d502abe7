/**
 * Are two values the same in all that `assert.deepStrictEqual` of Node looks at? Prototypes, own enumerable properties
 * (symbols too), what collections, buffers, dates, errors and boxed primitives hold; numbers as `Object.is` sees them.
 * `test/chromium/assertions.test.ts` compares it with Node's on made values.
 */

import { sameBytes } from "../../bytes.js";

export function deepEqual(left: unknown, right: unknown): boolean {
  return same(left, right, new Map());
}

/** Pairs whose comparison has begun: meeting one again within itself is no difference. */
type Begun = Map<object, Set<object>>;

function same(left: unknown, right: unknown, begun: Begun): boolean {
  if (Object.is(left, right)) return true;
  if (!isObject(left) || !isObject(right)) return false;
  if (Object.getPrototypeOf(left) !== Object.getPrototypeOf(right) || tagOf(left) !== tagOf(right)) return false;
  if (typeof left === "function" || typeof right === "function") return false;
  const partners = begun.get(left) ?? new Set();
  if (partners.has(right)) return true;
  begun.set(left, partners.add(right));
  const equal = sameInside(left, right, begun) && sameProperties(left, right, begun);
  partners.delete(right);
  return equal;
}

/** What is no property. */
function sameInside(left: object, right: object, begun: Begun): boolean {
  if (Array.isArray(left) || Array.isArray(right))
    return Array.isArray(left) && Array.isArray(right) && left.length === right.length;
  if (ArrayBuffer.isView(left) || isBuffer(left)) {
    return (ArrayBuffer.isView(right) || isBuffer(right)) && sameBytes(left, right);
  }
  if (left instanceof Map) return right instanceof Map && sameEntries(left, right, begun);
  if (left instanceof Set) return right instanceof Set && sameMembers(left, right, begun);
  if (left instanceof Date) return right instanceof Date && left.getTime() === right.getTime();
  if (left instanceof RegExp) {
    return (
      right instanceof RegExp &&
      left.source === right.source &&
      left.flags === right.flags &&
      left.lastIndex === right.lastIndex
    );
  }
  if (left instanceof Error) {
    return (
      right instanceof Error &&
      left.message === right.message &&
      left.name === right.name &&
      same(left.cause, right.cause, begun) &&
      same((left as AggregateError).errors, (right as AggregateError).errors, begun)
    );
  }
  if (left instanceof Number || left instanceof String || left instanceof Boolean)
    return Object.is(left.valueOf(), right.valueOf());
  return !(left instanceof WeakMap || left instanceof WeakSet || left instanceof Promise);
}

function sameProperties(left: object, right: object, begun: Begun): boolean {
  // A view's elements are its bytes.
  if (ArrayBuffer.isView(left)) return true;
  const keys = keysOf(left);
  if (keys.length !== keysOf(right).length) return false;
  return keys.every(
    (key) =>
      Object.prototype.propertyIsEnumerable.call(right, key) &&
      same((left as Record<PropertyKey, unknown>)[key], (right as Record<PropertyKey, unknown>)[key], begun),
  );
}

function keysOf(value: object): PropertyKey[] {
  const symbols = Object.getOwnPropertySymbols(value);
  return [
    ...Object.keys(value),
    ...symbols.filter((symbol) => Object.prototype.propertyIsEnumerable.call(value, symbol)),
  ];
}

function sameEntries(left: Map<unknown, unknown>, right: Map<unknown, unknown>, begun: Begun): boolean {
  if (left.size !== right.size) return false;
  const others = new Map(right);
  return [...left].every(([key, value]) => {
    const found = others.has(key)
      ? same(value, others.get(key), begun) && [key]
      : [...others.keys()].filter(
          (other) => isObject(other) && same(key, other, begun) && same(value, others.get(other), begun),
        );
    return found !== false && found.length > 0 && others.delete(found[0]);
  });
}

function sameMembers(left: Set<unknown>, right: Set<unknown>, begun: Begun): boolean {
  if (left.size !== right.size) return false;
  const others = new Set(right);
  return [...left].every((member) => {
    if (others.delete(member)) return true;
    for (const other of others) if (isObject(other) && same(member, other, begun)) return others.delete(other);
    return false;
  });
}

function isBuffer(value: object): value is ArrayBufferLike {
  return (
    value instanceof ArrayBuffer || (typeof SharedArrayBuffer !== "undefined" && value instanceof SharedArrayBuffer)
  );
}

function isObject(value: unknown): value is object {
  return (typeof value === "object" && value !== null) || typeof value === "function";
}

function tagOf(value: object): string {
  return Object.prototype.toString.call(value);
}
