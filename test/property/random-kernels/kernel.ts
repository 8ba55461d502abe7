/**
 * Random kernels: what one is made of, as plain data that fast-check makes smaller, and what arrays it has. `wgsl.ts` writes its
 * text, `evaluate.ts` says what it does.
 *
 * Whatever is drawn, what comes out depends neither on the order of invocations nor on how a device rounds: an invocation
 * stores to elements of its own, or by one atomic function an array; values are `u32`, and floats hold whole numbers that are
 * exact. Addresses never depend on what the invocation stores.
 */

import fc from "fast-check";
import { type ElementType, strideOf } from "../../../src/device/element.js";
import type { DispatchShape } from "../../../src/device/driver.js";
import { struct } from "../../../src/struct/index.js";

export const PROPERTIES = [
  "streaming",
  "gather",
  "scatter",
  "in place",
  "reduction",
  "data-dependent loop",
  "workgroups",
] as const;
export type Property = (typeof PROPERTIES)[number];

export type Word = "u32" | "i32" | "f32";

/** A type of elements: of which words it is made, and how WGSL names each. */
export interface Element {
  readonly type: ElementType;
  readonly name: string;
  readonly words: readonly Word[];
  readonly parts: readonly string[];
}

const vector = (type: ElementType & string, word: Word, length: number): Element => ({
  type,
  name: type,
  words: Array.from({ length }, () => word),
  parts: [".x", ".y", ".z", ".w"].slice(0, length),
});
const scalar = (type: Word): Element => ({ type, name: type, words: [type], parts: [""] });

export const ELEMENTS: readonly Element[] = [
  scalar("u32"),
  scalar("i32"),
  scalar("f32"),
  vector("vec2u", "u32", 2),
  vector("vec2f", "f32", 2),
  vector("vec4i", "i32", 4),
  vector("vec4f", "f32", 4),
  {
    type: struct({ a: "u32", b: "f32", c: "vec2i" }),
    name: "Cell",
    words: ["u32", "f32", "i32", "i32"],
    parts: [".a", ".b", ".c.x", ".c.y"],
  },
];
const U32 = 0;
export const I32 = 1;

/** A number that an invocation works out. Indices are taken modulo the length of what they are used for. */
export type Value =
  | { readonly kind: "constant"; readonly value: number }
  | { readonly kind: "uniform" }
  /** Of the invocation: in a dimension, or, with 3, of all. */
  | { readonly kind: "id"; readonly axis: number }
  /** An element that its footprint gives to the invocation: so many after its first. */
  | { readonly kind: "stream"; readonly offset: number; readonly word: number }
  /** An element of its own that it writes, too. */
  | { readonly kind: "own"; readonly word: number }
  | { readonly kind: "table"; readonly index: Value; readonly word: number }
  | { readonly kind: "binary"; readonly operator: "+" | "*" | "^" | "-"; readonly left: Value; readonly right: Value }
  | { readonly kind: "select"; readonly of: Value; readonly left: Value; readonly right: Value };

export type Atomic = "Add" | "Min" | "Max" | "Or" | "Xor" | "And";

export interface RandomKernel {
  readonly properties: readonly Property[];
  /** What arrays hold at first. */
  readonly seed: number;
  readonly shape: DispatchShape;
  readonly workgroup: DispatchShape;
  /** Numbers in `ELEMENTS`, of the arrays whose type is free. */
  readonly elements: {
    readonly x: number;
    readonly t: number;
    readonly o: number;
    readonly p: number;
    readonly s: number;
  };
  /** The text leaves those invocations out that the dispatch does not have. */
  readonly guarded: boolean;
  /** One invocation in so many does nothing; 0: each does something. */
  readonly idle: number;
  /** Of the stream: the footprint of an invocation. */
  readonly each: number;
  readonly before: number;
  readonly after: number;
  readonly tableLength: number;
  readonly chainLength: number;
  readonly bins: number;
  /** Elements of arrays that no invocation has for its own. */
  readonly extra: number;
  readonly uniform: number;
  /** A kernel that is run page by page knows the footprints of some arrays. */
  readonly declared: boolean;
  /** Arrays are brought to the device before, one after another, as far as there is room. */
  readonly prefetched: boolean;
  readonly output: Value | null;
  readonly inPlace: {
    readonly form: "=" | "+=" | "^=" | "*=" | "++";
    readonly word: number;
    readonly value: Value;
    readonly again: boolean;
    /** Only where an element of its own says so. */
    readonly conditional: boolean;
  } | null;
  readonly scatter:
    | { readonly kind: "permuted"; readonly form: "=" | "+="; readonly word: number; readonly value: Value }
    | {
        readonly kind: "atomic";
        readonly atomic: Atomic;
        readonly signed: boolean;
        readonly index: Value;
        readonly value: Value;
      }
    | null;
  readonly reduction: { readonly atomic: Atomic; readonly signed: boolean; readonly value: Value } | null;
  readonly loop: {
    readonly kind: "chain" | "rows";
    readonly form: "for" | "while" | "loop";
    readonly most: number;
  } | null;
  readonly together: { readonly kind: "sum" | "tree" | "neighbour"; readonly value: Value } | null;
}

const WORDS = fc.nat(3);
const ATOMICS = fc.constantFrom<Atomic>("Add", "Min", "Max", "Or", "Xor", "And");

/** What is scattered, summed up or handed from one invocation to another is read. */
const READ: readonly Property[] = ["streaming", "scatter", "reduction", "workgroups"];
const readsStream = (properties: readonly Property[]): boolean => properties.some((each) => READ.includes(each));

/** Values over what the properties have; `own` ones have no place in addresses. */
function valuesOf(properties: readonly Property[], isAddress: boolean, depth = 2): fc.Arbitrary<Value> {
  const leaves: fc.Arbitrary<Value>[] = [
    fc.record({ kind: fc.constant("constant" as const), value: fc.nat(70_000) }),
    fc.record({ kind: fc.constant("id" as const), axis: fc.nat(3) }),
    fc.record({ kind: fc.constant("uniform" as const) }),
  ];
  if (readsStream(properties))
    leaves.push(fc.record({ kind: fc.constant("stream" as const), offset: fc.nat(7), word: WORDS }));
  if (properties.includes("in place") && !isAddress)
    leaves.push(fc.record({ kind: fc.constant("own" as const), word: WORDS }));
  if (depth === 0) return fc.oneof(...leaves);
  const inner = (address: boolean): fc.Arbitrary<Value> => valuesOf(properties, address, depth - 1);
  const table = fc.record({ kind: fc.constant("table" as const), index: inner(true), word: WORDS });
  return fc.oneof(
    ...leaves,
    ...(properties.includes("gather") ? [table] : []),
    fc.record({
      kind: fc.constant("binary" as const),
      operator: fc.constantFrom("+", "*", "^", "-"),
      left: inner(isAddress),
      right: inner(isAddress),
    }),
    fc.record({
      kind: fc.constant("select" as const),
      of: inner(isAddress),
      left: inner(isAddress),
      right: inner(isAddress),
    }),
  );
}

const sumOf = (left: Value, right: Value): Value => ({ kind: "binary", operator: "+", left, right });

/** Kernels of these properties, all of them. */
export function randomKernels(properties: readonly Property[]): fc.Arbitrary<RandomKernel> {
  const has = (property: Property): boolean => properties.includes(property);
  const values = valuesOf(properties, false);
  const addresses = valuesOf(properties, true);
  const maybe = <T>(property: Property, arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | null> =>
    has(property) ? arbitrary : fc.constant(null);
  const element = fc.nat(ELEMENTS.length - 1);
  const read = fc
    .tuple(values, fc.nat(7), WORDS)
    .map(([value, offset, word]) => sumOf({ kind: "stream", offset, word }, value));
  const output = fc.tuple(values, fc.nat(7), addresses, WORDS).map(([value, offset, index, word]): Value => {
    const streamed: Value = has("streaming") ? sumOf({ kind: "stream", offset, word }, value) : value;
    return has("gather") ? sumOf({ kind: "table", index, word }, streamed) : streamed;
  });
  return fc
    .record({
      extents: extents(has("workgroups")),
      seed: fc.nat(1_000_000),
      elements: fc.record({ x: element, t: element, o: element, p: element, s: element }),
      guarded: fc.boolean(),
      idle: fc.constantFrom(0, 0, 2, 5),
      each: fc.integer({ min: 1, max: 3 }),
      before: fc.constantFrom(0, 0, 1, 40),
      after: fc.constantFrom(0, 0, 1, 40),
      tableLength: fc.integer({ min: 1, max: 3000 }),
      chainLength: fc.integer({ min: 1, max: 3000 }),
      bins: fc.integer({ min: 1, max: 4000 }),
      extra: fc.constantFrom(0, 1, 700),
      uniform: fc.nat(2 ** 32 - 1),
      declared: fc.boolean(),
      prefetched: fc.boolean(),
      output: has("streaming") || has("gather") || has("data-dependent loop") ? output : fc.constant(null),
      inPlace: maybe(
        "in place",
        fc.record({
          form: fc.constantFrom("=" as const, "+=" as const, "^=" as const, "*=" as const, "++" as const),
          word: WORDS,
          value: values,
          again: fc.boolean(),
          conditional: fc.boolean(),
        }),
      ),
      scatter: maybe(
        "scatter",
        fc.oneof(
          fc.record({
            kind: fc.constant("permuted" as const),
            form: fc.constantFrom("=" as const, "+=" as const),
            word: WORDS,
            value: read,
          }),
          fc.record({
            kind: fc.constant("atomic" as const),
            atomic: ATOMICS,
            signed: fc.boolean(),
            index: addresses,
            value: read,
          }),
        ),
      ),
      reduction: maybe("reduction", fc.record({ atomic: ATOMICS, signed: fc.boolean(), value: read })),
      loop: maybe(
        "data-dependent loop",
        fc.record({
          kind: fc.constantFrom("chain" as const, "rows" as const),
          form: fc.constantFrom("for" as const, "while" as const, "loop" as const),
          most: fc.integer({ min: 0, max: 4 }),
        }),
      ),
      together: maybe(
        "workgroups",
        fc.record({ kind: fc.constantFrom("sum" as const, "tree" as const, "neighbour" as const), value: read }),
      ),
    })
    .map(({ extents: { shape, workgroup }, ...rest }) => ({ properties, shape, workgroup, ...rest }));
}

/** Kernels of several properties: two to four of them, drawn. */
export function combinedKernels(of: readonly Property[]): fc.Arbitrary<RandomKernel> {
  return fc.subarray([...of], { minLength: 2, maxLength: 4 }).chain((properties) => randomKernels(properties));
}

/** Dispatches of one to three dimensions and up to some thousand invocations; of whole workgroups only, where they need each other. */
function extents(whole: boolean): fc.Arbitrary<{ shape: DispatchShape; workgroup: DispatchShape }> {
  const size = (...sizes: number[]): fc.Arbitrary<number> => fc.constantFrom(...sizes);
  const between = (min: number, max: number): fc.Arbitrary<number> => fc.integer({ min, max });
  const one = fc.constant(1);
  const drawn = fc.oneof(
    fc.tuple(between(1, 6000), one, one, size(1, 7, 32, 64), one, one),
    fc.tuple(between(20, 100), between(2, 60), one, size(1, 4, 8), size(1, 3, 8), one),
    fc.tuple(between(1, 30), between(2, 20), between(2, 15), size(1, 2, 4), size(1, 4), size(1, 2, 3)),
  );
  return drawn.map(([x, y, z, sizeX, sizeY, sizeZ]) => {
    const workgroup = [sizeX, sizeY, sizeZ] as const;
    const rounded = [x, y, z].map((count, i) => (whole ? Math.ceil(count / workgroup[i]) * workgroup[i] : count));
    return { workgroup, shape: [rounded[0], rounded[1], rounded[2]] as const };
  });
}

export function invocationsOf({ shape: [x, y, z] }: RandomKernel): number {
  return x * y * z;
}

/** How many workgroups there are in each dimension, and how many invocations each has. */
export function workgroupsOf({ shape, workgroup }: RandomKernel): { groups: DispatchShape; size: number } {
  const [x, y, z] = shape.map((count, i) => Math.ceil(count / workgroup[i]));
  return { groups: [x, y, z], size: workgroup[0] * workgroup[1] * workgroup[2] };
}

/** What an array of a kernel is for, by the one letter that it is called. */
export type ArrayName = "x" | "t" | "k" | "o" | "p" | "s" | "b" | "r" | "n" | "f" | "g";

export interface KernelArray {
  readonly name: ArrayName;
  readonly element: Element;
  /** "u32" or "i32" where its elements are atomic. */
  readonly atomic: "u32" | "i32" | null;
  readonly written: boolean;
  readonly length: number;
  /** Elements of which no invocation uses more; else any invocation may use all. */
  readonly footprint: { readonly each: number; readonly before: number; readonly after: number } | null;
}

/** The arrays that a kernel has, in the order of their bindings. */
export function arraysOf(kernel: RandomKernel): KernelArray[] {
  const { elements, properties, each, before, after, extra, scatter, reduction, loop, together } = kernel;
  const count = invocationsOf(kernel);
  const arrays: KernelArray[] = [];
  const words = ELEMENTS[U32];
  const add = (name: ArrayName, element: Element, length: number, more: Partial<KernelArray> = {}): void => {
    arrays.push({ name, element, length, atomic: null, written: false, footprint: null, ...more });
  };
  const own = { each: 1, before: 0, after: 0 };
  const atomic = (signed: boolean): Partial<KernelArray> => ({ atomic: signed ? "i32" : "u32", written: true });
  if (readsStream(properties))
    add("x", ELEMENTS[elements.x], count * each + extra, { footprint: { each, before, after } });
  if (properties.includes("gather")) add("t", ELEMENTS[elements.t], kernel.tableLength);
  if (scatter?.kind === "permuted") add("k", words, count, { footprint: own });
  if (kernel.output !== null) add("o", ELEMENTS[elements.o], count + extra, { footprint: own, written: true });
  if (kernel.inPlace !== null) add("p", ELEMENTS[elements.p], count + extra, { footprint: own, written: true });
  if (scatter?.kind === "permuted") add("s", ELEMENTS[elements.s], count + extra, { written: true });
  if (scatter?.kind === "atomic") add("b", ELEMENTS[scatter.signed ? I32 : U32], kernel.bins, atomic(scatter.signed));
  if (reduction !== null) add("r", ELEMENTS[reduction.signed ? I32 : U32], 1, atomic(reduction.signed));
  if (loop !== null) add("n", words, kernel.chainLength);
  if (loop?.kind === "rows") add("f", words, count + 1, { footprint: { each: 1, before: 0, after: 1 } });
  if (together !== null)
    if (together.kind === "neighbour") add("g", words, count, { footprint: own, written: true });
    else add("g", words, count / workgroupsOf(kernel).size, { written: true });
  return arrays;
}

export function bytesOfArray({ element, length }: KernelArray): number {
  return strideOf(element.type) * length;
}
