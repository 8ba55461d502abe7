/** What a module declares, resolved when it is first used: order does not matter to WGSL, and what nothing uses need not run. */

import type { Binding, Compilation } from "./compilation.js";
import { concrete } from "./arithmetic.js";
import { expression, initializer } from "./expressions.js";
import { convertConstant } from "./operators.js";
import {
  type AttributeElem,
  type Declaration,
  type FnElem,
  type GlobalVarElem,
  type OverrideElem,
  parseDeclarations,
  type StructElem,
  type SyntaxNode,
} from "./parse.js";
import { pageOfOnly } from "./paged-places.js";
import { clear, store } from "./places.js";
import { assertStatement, constantOf, newVariable, refuseConditions } from "./statements.js";
import { structType, typeOf } from "./type-syntax.js";
import {
  BOOL,
  countOf,
  hasArray,
  hasAtomic,
  isHostShareable,
  nameOfType,
  roundUp,
  scalarOfType,
  sizeOf,
  strideOfArray,
  type Type,
} from "./types.js";
import { type Access, constantValue, type Place, type StorageUse } from "./value.js";
import { WrappedArrays } from "./wrapped-arrays.js";

/** Values of overrides, by name or by the number of their `@id`. */
export type Constants = Readonly<Record<string, number>>;

/** Extensions of the language that change nothing here. */
const EXTENSIONS: ReadonlySet<string> = new Set([
  "readonly_and_readwrite_storage_textures",
  "pointer_composite_access",
]);

export class Module {
  /** All declarations, in order. */
  readonly all: readonly Declaration[];
  readonly #declarations = new Map<string, Declaration>();
  readonly #asserts: Declaration[] = [];
  readonly #bindings = new Map<string, Binding>();
  readonly #resolving = new Set<string>();
  readonly #constants: Constants;
  readonly #wrapped: WrappedArrays;

  constructor(c: Compilation, constants: Constants) {
    this.#constants = constants;
    this.all = parseDeclarations(c.text);
    for (const declaration of this.all) this.#add(c, declaration);
    this.#checkConstants(c);
    this.#wrapped = new WrappedArrays(c.text, this.all);
  }

  /** The functions with `@compute`, in order. */
  get entryPoints(): FnElem[] {
    const found: FnElem[] = [];
    for (const declaration of this.#declarations.values()) {
      if (declaration.kind === "fn" && hasAttribute(declaration.attributes, "compute")) found.push(declaration);
    }
    return found;
  }

  checkAsserts(c: Compilation): void {
    for (const declaration of this.#asserts) {
      if (declaration.kind === "assert") assertStatement(c, declaration, declaration.expression);
    }
  }

  /** What a name stands for; null when the module does not declare it. */
  resolve(c: Compilation, name: string): Binding | null {
    const known = this.#bindings.get(name);
    if (known !== undefined) return known;
    const declaration = this.#declarations.get(name);
    if (declaration === undefined) return null;
    if (this.#resolving.has(name)) c.refuse(declaration, `"${name}" is declared by itself`);
    this.#resolving.add(name);
    const binding = c.inScope(null, () => this.#bind(c, name, declaration));
    this.#resolving.delete(name);
    this.#bindings.set(name, binding);
    return binding;
  }

  #add(c: Compilation, declaration: Declaration): void {
    refuseConditions(c, declaration);
    switch (declaration.kind) {
      case "directive": {
        const { directive } = declaration;
        if (directive.kind === "diagnostic") return;
        for (const extension of directive.extensions) {
          if (c.described || EXTENSIONS.has(extension.name)) continue;
          c.refuse(extension, `${directive.kind} ${extension.name} is not supported by the software device`);
        }
        return;
      }
      case "assert":
        this.#asserts.push(declaration);
        return;
      case "alias":
      case "fn":
      case "struct":
        return this.#name(c, declaration, declaration.name.ident.originalName);
      case "const":
      case "gvar":
      case "override":
        return this.#name(c, declaration, declaration.name.decl.ident.originalName);
      case "import":
      case "do":
        return c.refuse(declaration, `${declaration.kind} is not WGSL`);
      case "empty":
    }
  }

  #name(c: Compilation, declaration: Declaration & SyntaxNode, name: string): void {
    if (this.#declarations.has(name)) c.refuse(declaration, `"${name}" is declared twice`);
    this.#declarations.set(name, declaration);
  }

  #bind(c: Compilation, name: string, declaration: Declaration): Binding {
    switch (declaration.kind) {
      case "alias":
        return { kind: "type", type: typeOf(c, declaration.typeRef) };
      case "struct":
        return { kind: "type", type: this.#structure(c, declaration) };
      case "const":
        return { kind: "value", value: constantOf(c, declaration) };
      case "fn":
        return { kind: "function", fn: declaration };
      case "override":
        return { kind: "value", value: this.#override(c, name, declaration) };
      case "gvar":
        return { kind: "place", place: variableOf(c, name, declaration) };
      case "assert":
      case "directive":
      case "do":
      case "empty":
      case "import":
        return c.refuse(declaration, `"${name}" cannot be used`);
    }
  }

  #structure(c: Compilation, declaration: StructElem): Type {
    const wrapped = this.#wrapped.of(declaration);
    return wrapped === null ? structType(c, declaration) : typeOf(c, wrapped);
  }

  #override(c: Compilation, name: string, node: OverrideElem): ReturnType<typeof expression> {
    const { typeRef } = node.name;
    const declared = typeRef === undefined ? null : typeOf(c, typeRef);
    const { init } = node;
    const own = initializer(c, init, declared);
    const type = declared ?? own?.type ?? c.refuse(node, `override "${name}" needs a type or a value`);
    const scalar = scalarOfType(type);
    if (scalar === null || type.kind !== "scalar") return c.refuse(node, `override "${name}" is no scalar`);
    const given = this.#given(c, name, node);
    if (given === undefined) {
      if (own === null) c.refuse(node, `override "${name}" has no value: give it in constants`);
      if (own.constants === undefined) c.refuse(node, `the value of override "${name}" is no constant`);
      return own;
    }
    if (scalar === BOOL) return constantValue(type, [convertConstant(given, "abstract-float", "bool")]);
    const isWhole = scalar.name === "f32" || Number.isInteger(given);
    const value = isWhole ? convertConstant(given, "abstract-float", scalar.name) : NaN;
    if (!Number.isFinite(value) || (scalar.name !== "f32" && value !== given)) {
      c.refuse(node, `constant ${given} cannot be override "${name}" of type ${nameOfType(type)}`);
    }
    return constantValue(type, [value]);
  }

  #given(c: Compilation, name: string, node: OverrideElem): number | undefined {
    const id = idOf(c, node);
    const key = id === null ? name : String(id);
    if (!Object.hasOwn(this.#constants, key)) return undefined;
    const value = this.#constants[key];
    if (!Number.isFinite(value)) c.refuse(node, `constant ${String(value)} of override "${name}" is no finite number`);
    return value;
  }

  /** Constants that no override takes would be slips. */
  #checkConstants(c: Compilation): void {
    const taken = new Set<string>();
    for (const [name, declaration] of this.#declarations) {
      if (declaration.kind !== "override") continue;
      const id = idOf(c, declaration);
      taken.add(id === null ? name : String(id));
    }
    const unknown = Object.keys(this.#constants).find((key) => !taken.has(key));
    if (unknown !== undefined) c.refuse({ start: 0, end: 0 }, `constant "${unknown}" belongs to no override`);
  }
}

export function hasAttribute(attributes: readonly AttributeElem[] | undefined, name: string): boolean {
  return attributes?.some(({ attribute }) => attribute.kind === "@attribute" && attribute.name === name) === true;
}

/** The number of an `@id`, which may be 0. */
function idOf(c: Compilation, { attributes = [] }: OverrideElem): number | null {
  for (const { attribute } of attributes) {
    if (attribute.kind !== "@attribute" || attribute.name !== "id" || attribute.params === undefined) continue;
    const [constant] = expression(c, attribute.params[0].expression).constants ?? [];
    return constant === undefined ? null : Number(constant);
  }
  return null;
}

function variableOf(c: Compilation, name: string, node: GlobalVarElem): Place {
  const [space, access] = (node.template ?? []).map((word) => word.name);
  const { typeRef } = node.name;
  if (space === "private") return privateVariable(c, node);
  if (space === "workgroup") c.refuse(node, `workgroup variables ("${name}") are not supported by the software device`);
  if (typeRef === undefined) return c.refuse(node, `variable "${name}" needs a type`);
  const type = typeOf(c, typeRef);
  if (space === "uniform") return uniformVariable(c, name, node, type);
  if (space === "storage") return storageVariable(c, name, node, type, access);
  return c.refuse(node, `variable "${name}" is in address space "${String(space)}", which is not supported`);
}

/** Written anew for each invocation. */
function privateVariable(c: Compilation, node: GlobalVarElem): Place {
  const { typeRef, decl } = node.name;
  const declared = typeRef === undefined ? null : typeOf(c, typeRef);
  const { result, lines } = c.capture(() => {
    const { init } = node;
    const value = initializer(c, init, declared);
    const type = declared ?? value?.type ?? c.refuse(node, "a variable needs a type or a value");
    const place = newVariable(c, decl, type);
    if (value !== null) store(c, node, place, value);
    else if (place.kind === "memory") clear(c, place);
    else if (place.kind === "names") {
      for (const [i, at] of place.names.entries()) c.emit(`${at} = ${zeroPart(type, i)};`);
    }
    return place;
  });
  c.starts.push(...lines);
  return result;
}

function zeroPart(type: Type, index: number): string {
  return flatScalars(type)[index] === "bool" ? "false" : "0";
}

function flatScalars(type: Type): string[] {
  if (type.kind === "struct") return type.members.flatMap((member) => flatScalars(member.type));
  return Array.from({ length: countOf(type) }, () => scalarOfType(type)?.name ?? "");
}

function uniformVariable(c: Compilation, name: string, node: GlobalVarElem, type: Type): Place {
  checkUniform(c, node, type);
  const word = c.uniformWords;
  c.uniformWords += roundUp(sizeOf(type), 16) / 4;
  c.uniforms.set(name, { name, type, word });
  return { kind: "memory", type, root: { prefix: "u", packed: false, access: "read" }, dynamic: "", word };
}

/** Refuses what a uniform variable cannot be. */
export function checkUniform(c: Compilation, node: GlobalVarElem, type: Type): void {
  if (!isHostShareable(type) || hasAtomic(type) || !Number.isFinite(countOf(type))) {
    c.refuse(node, `no uniform can be of type ${nameOfType(type)}`);
  }
  const odd = oddInUniform(type);
  if (odd !== null) c.refuse(node, odd);
}

/** Why a type has no place in a uniform buffer, whose arrays and structures lie at multiples of 16 bytes; null when it has. */
function oddInUniform(type: Type): string | null {
  if (type.kind === "array") {
    const stride = strideOfArray(type);
    if (stride % 16 !== 0)
      return `elements of ${nameOfType(type)} are ${stride} bytes apart, in uniforms a multiple of 16`;
    return oddInUniform(type.of);
  }
  if (type.kind !== "struct") return null;
  for (const member of type.members) {
    const nested = member.type.kind === "struct" || member.type.kind === "array";
    if (nested && member.offset % 16 !== 0)
      return `member "${member.name}" lies ${member.offset} bytes into ${type.name}, in uniforms a multiple of 16`;
    const odd = oddInUniform(member.type);
    if (odd !== null) return odd;
  }
  return null;
}

/** What one element of the array is that a storage variable is bound to. Refuses what is no array of elements. */
export function checkStorage(c: Compilation, node: GlobalVarElem, type: Type, access: string): Type {
  if (access !== "read" && access !== "read_write") c.refuse(node, `storage has no access mode "${access}"`);
  const element = type.kind === "array" ? type.of : type;
  if (!isHostShareable(element) || !Number.isFinite(countOf(element))) {
    c.refuse(node, `no storage can be of type ${nameOfType(type)}`);
  }
  if (hasArray(element)) c.refuse(node, `arrays of ${nameOfType(element)}, which has arrays inside, are not supported`);
  if (hasAtomic(type) && access === "read") c.refuse(node, "an atomic needs storage that can be written");
  return element;
}

function storageVariable(c: Compilation, name: string, node: GlobalVarElem, type: Type, access = "read"): Place {
  const element = checkStorage(c, node, type, access);
  const number = c.storage.size;
  const length = type.kind === "array" ? type.length : 1;
  const storage: StorageUse = { name, number, element, length, read: false, written: false };
  c.storage.set(name, storage);
  const root = { prefix: `s${number}`, packed: false, access: access as Access, storage };
  if (type.kind === "array") return { kind: "storage", type, root };
  // Found at the start of each invocation: where it is depends on nothing else.
  const offset = `s${number}Only`;
  if (c.paged) {
    c.starts.push(pageOfOnly(storage, node));
    return { kind: "memory", type, root, dynamic: "", word: 0, page: offset };
  }
  c.starts.push(
    `var ${offset} = (0 - s${number}Low >>> 0 < s${number}Count ? 0 - s${number}Low : outside(${number}, 0, s${number}Low, s${number}Count, s${number}Length, ${node.start})) + s${number}Word;`,
  );
  return { kind: "memory", type, root, dynamic: offset, word: 0 };
}

/** The numbers of `@workgroup_size`; 1 where they are left out. */
export function workgroupSize(c: Compilation, fn: FnElem): [number, number, number] {
  for (const { attribute } of fn.attributes ?? []) {
    if (attribute.kind !== "@attribute" || attribute.name !== "workgroup_size") continue;
    const sizes = (attribute.params ?? []).map(({ expression: node }) => {
      const { constants } = concrete(c, node, expression(c, node));
      const size = Number(constants?.[0]);
      return Number.isInteger(size) && size >= 1
        ? size
        : c.refuse(node, "a workgroup size is a constant of at least 1");
    });
    return [sizes[0] ?? 1, sizes[1] ?? 1, sizes[2] ?? 1];
  }
  return c.refuse(fn.name, "a compute shader needs @workgroup_size");
}
