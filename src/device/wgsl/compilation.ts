/**
 * What is being written while a kernel is compiled: lines of JavaScript, the names in scope, the memory that the kernel
 * has, and what of its arrays it uses.
 *
 * Functions are written out where they are called, which WGSL allows because nothing recurses: so pointers are places that
 * are known when the kernel is compiled, and structures and vectors are variables of single numbers. All names in the
 * generated code are made here, and numbers are written by `writeConstant`: no text of the kernel gets into it.
 */

import type { WgslKernel } from "../driver.js";
import { errorAt } from "./error-at.js";
import { ConstantError, type WriteCall } from "./operators.js";
import type { NumberFunction } from "./numbers.js";
import type { ExpressionElem, FnElem, Statement, StructElem, SyntaxNode } from "./parse.js";
import type { ScalarName, Struct, Type } from "./types.js";
import type { Access, Place, Root, StorageUse, Value } from "./value.js";

/** Characters of generated code, above which a kernel is refused. */
const MOST_CODE = 4_000_000;
/** Words of a kernel's own memory: WGSL lets a kernel have no more than 8192 bytes of private variables, functions as much. */
const MOST_WORDS = 1 << 20;

/** What a name stands for. */
export type Binding =
  | { readonly kind: "value"; readonly value: Value }
  | { readonly kind: "place"; readonly place: Place }
  | { readonly kind: "pointer"; readonly place: Place }
  | { readonly kind: "type"; readonly type: Type }
  | { readonly kind: "function"; readonly fn: FnElem };

export interface Scope {
  readonly parent: Scope | null;
  readonly names: Map<string, Binding>;
}

/** Where `break` and `continue` go to. */
export interface Target {
  readonly label: string;
  readonly continueLabel: string | null;
}

/** Where `return` goes to, in the function that is written out now. */
export interface Return {
  readonly fn: FnElem;
  readonly label: string;
  readonly type: Type | null;
  readonly names: readonly string[];
}

/**
 * Reads the syntax tree. An expression may have calls, a call has statements, and statements have expressions: what comes
 * first calls what comes later by way of this.
 */
export interface Reader {
  expression(c: Compilation, node: ExpressionElem): Value;
  /** In order: what the effects of later ones may change is settled before. */
  expressions(c: Compilation, nodes: readonly ExpressionElem[]): Value[];
  /** The place that a pointer points to; null for what is no pointer. */
  pointerOf(c: Compilation, node: ExpressionElem): Place | null;
  /** Whether working an expression out may write what others read. */
  hasEffects(c: Compilation, node: ExpressionElem): boolean;
  statements(c: Compilation, body: readonly Statement[]): void;
}

/** A variable of uniforms that the code uses. */
export interface UniformUse {
  readonly name: string;
  readonly type: Type;
  /** Words before it in the buffer of all uniforms. */
  readonly word: number;
}

/** What a kernel is read for: to be run over views of its arrays, to be run page by page, or only to be described. */
export type Purpose = "run" | "paged run" | "description";

export class Compilation {
  readonly reader: Reader;
  readonly text: string;
  readonly footprint: WgslKernel["footprint"];
  /** What is only described may have what the software device has not. */
  readonly described: boolean;
  /** Arrays are reached page by page (`paged-places.ts`), not as views. */
  readonly paged: boolean;
  /** Finds what the module declares. */
  readonly globals: (compilation: Compilation, name: string) => Binding | null;
  readonly functions = new Set<NumberFunction>();
  readonly views = new Set<string>();
  readonly storage = new Map<string, StorageUse>();
  readonly uniforms = new Map<string, UniformUse>();
  /** Where structures are declared. */
  readonly structs = new Map<Struct, StructElem>();
  /** Written before the first invocation: tables of constants. */
  readonly tables: string[] = [];
  /** Written at the start of each invocation: private variables. */
  readonly starts: string[] = [];
  lines: string[] = [];
  scope: Scope | null = null;
  targets: Target[] = [];
  returns: Return[] = [];
  uniformWords = 0;
  memoryWords = 0;
  #names = 0;
  #length = 0;

  constructor(
    { text, footprint, purpose }: Pick<WgslKernel, "text" | "footprint"> & { readonly purpose: Purpose },
    reader: Reader,
    globals: (compilation: Compilation, name: string) => Binding | null,
  ) {
    this.paged = purpose === "paged run";
    this.described = purpose === "description";
    this.text = text;
    this.reader = reader;
    this.footprint = footprint;
    this.globals = globals;
  }

  /** Refuses the kernel. */
  refuse(node: SyntaxNode, reason: string): never {
    throw errorAt(this.text, node.start, reason);
  }

  /** Runs what works out constants: what has no result is refused at the node. */
  constant<Result>(node: SyntaxNode, work: () => Result): Result {
    try {
      return work();
    } catch (error) {
      if (error instanceof ConstantError) this.refuse(node, error.message);
      throw error;
    }
  }

  lookup(name: string): Binding | null {
    for (let scope = this.scope; scope !== null; scope = scope.parent) {
      const binding = scope.names.get(name);
      if (binding !== undefined) return binding;
    }
    return this.globals(this, name);
  }

  declare(node: SyntaxNode, name: string, binding: Binding): void {
    if (this.scope === null || this.scope.names.has(name)) this.refuse(node, `"${name}" is declared twice`);
    this.scope.names.set(name, binding);
  }

  inScope<Result>(parent: Scope | null, work: () => Result): Result {
    const outer = this.scope;
    this.scope = { parent, names: new Map() };
    try {
      return work();
    } finally {
      this.scope = outer;
    }
  }

  emit(line: string): void {
    this.#length += line.length;
    if (this.#length > MOST_CODE) {
      this.refuse(
        { start: 0, end: 0 },
        "the kernel is too long once its functions are written out where they are called",
      );
    }
    this.lines.push(line);
  }

  /** The lines that `work` emits are not written, but returned. */
  capture<Result>(work: () => Result): { result: Result; lines: string[] } {
    const outer = this.lines;
    this.lines = [];
    try {
      const result = work();
      return { result, lines: this.lines };
    } finally {
      this.lines = outer;
    }
  }

  /** A new name. `t`: assigned once, `v`: a variable, `L`: a label. */
  fresh(letter: "t" | "v" | "L"): string {
    return `${letter}${this.#names++}`;
  }

  /** A name for what an expression is now. */
  settlePart(part: string): string {
    if (isSettled(part)) return part;
    const name = this.fresh("t");
    this.emit(`var ${name} = ${part};`);
    return name;
  }

  /** The value as it is now, whatever is written later. */
  settle(value: Value): Value {
    if (value.constants !== undefined || value.parts.every(isSettled)) return value;
    return { type: value.type, parts: value.parts.map((part) => this.settlePart(part)) };
  }

  readonly call: WriteCall = (name, ...parts) => {
    this.functions.add(name);
    return `${name}(${parts.join(", ")})`;
  };

  /** The name of a view of a root's words. */
  view(root: Root, scalar: ScalarName): string {
    const name = root.prefix + (scalar === "bool" ? "u" : scalar.charAt(0));
    this.views.add(name);
    return name;
  }

  /** Room in the kernel's own memory. */
  reserve(node: SyntaxNode, words: number): number {
    const word = this.memoryWords;
    this.memoryWords += words;
    if (this.memoryWords > MOST_WORDS) this.refuse(node, `the kernel's variables take more than ${MOST_WORDS} numbers`);
    return word;
  }

  /** The kernel's own memory. */
  memory(access: Access): Root {
    return { prefix: "m", packed: true, access };
  }
}

/** Whether a part is a constant, or a name that is assigned once. */
function isSettled(part: string): boolean {
  return /^(?:t\d+|\d[\w.+-]*|\(-\d[\w.+-]*\)|true|false)$/.test(part);
}

/** Whether a part can be written twice at no cost. */
export function isSimple(part: string): boolean {
  return isSettled(part) || /^v\d+$/.test(part);
}
