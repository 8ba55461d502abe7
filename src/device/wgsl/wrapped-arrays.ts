/**
 * Arrays in structures of their own: `struct S { value: array<f32> }`, as generators of shaders write their storage. A variable of
 * such a structure is an array like any other. So where the tree says `x.value` it is made to say `x`; the type, where it says `S`,
 * means the array. The text stays, and with it what is copied from it: `x.value` is still written there.
 *
 * No value is of such a type, for it has no size: only variables are, and what points to them.
 */

import { errorAt } from "./error-at.js";
import {
  calledReference,
  type Declaration,
  type ExpressionElem,
  type GlobalVarElem,
  type Node,
  type StructElem,
} from "./parse.js";
import { forEachNode, isPointer } from "./rewrite/instances.js";
import { Names } from "./rewrite/names.js";

type Member = Extract<ExpressionElem, { kind: "component-member-expression" }>;

export class WrappedArrays {
  readonly #text: string;
  readonly #names: Names | null = null;
  readonly #structures = new Map<StructElem, ExpressionElem>();
  readonly #unwrapped = new Set<Node>();

  /** Changes the tree. Throws a `KernelError` for a structure that is used as if it were its array. */
  constructor(text: string, declarations: readonly Declaration[]) {
    this.#text = text;
    if (!declarations.some(hasOneMember)) return;
    this.#names = new Names(text, declarations);
    for (const node of declarations) {
      if (hasOneMember(node) && isRuntimeArray(this.#names, node.members[0].typeRef))
        this.#structures.set(node, node.members[0].typeRef);
    }
    if (this.#structures.size === 0) return;
    for (const node of declarations) if (node.kind === "fn") forEachNode(node.body, (part) => this.#visit(part));
  }

  /** The type of the array that a structure has for its only member; null for other structures. */
  of(node: StructElem): ExpressionElem | null {
    return this.#structures.get(node) ?? null;
  }

  #visit(node: Node): void {
    if (node.kind === "component-member-expression") {
      const structure = this.#structureAt(node.base);
      if (structure?.members[0].name.name === node.access.name) this.#unwrap(node);
    } else if (node.kind === "component-expression") this.#refuseWhole(node.base);
    else if (node.kind === "call-expression" && calledReference(node).ident.originalName === "arrayLength")
      node.arguments.forEach((argument) => this.#refuseWhole(argument));
  }

  /** `x.value` becomes `(x)`, and `p.value`, of a pointer, `*p`; the node stands where it stood. */
  #unwrap(node: Member): void {
    const { base, start, end } = node;
    const meant: Partial<ExpressionElem> =
      this.#names !== null && isPointer(this.#names, base)
        ? { kind: "unary-expression", operator: { value: "*", start, end: start }, expression: base, start, end }
        : { kind: "parenthesized-expression", expression: base, start, end };
    Object.assign(node, meant);
    this.#unwrapped.add(node);
  }

  #refuseWhole(node: ExpressionElem): void {
    const structure = this.#structureAt(node);
    if (structure === null) return;
    const { name, members } = structure;
    const { originalName } = name.ident;
    throw errorAt(
      this.#text,
      node.start,
      `structure "${originalName}" is no array: its member "${members[0].name.name}" is`,
    );
  }

  /** The structure that a place is, or a pointer points to, as a whole. */
  #structureAt(node: ExpressionElem): StructElem | null {
    const names = this.#names;
    if (names === null || this.#unwrapped.has(node)) return null;
    if (node.kind === "parenthesized-expression" || node.kind === "unary-expression")
      return this.#structureAt(node.expression);
    const declaration = node.kind === "ref" ? names.of(node)?.declaration : undefined;
    if (declaration?.kind === "gvar")
      return isStorage(declaration) ? this.#structureOf(declaration.name.typeRef) : null;
    if (declaration?.kind === "param") return this.#structureOf(pointedBy(names, declaration.name.typeRef));
    if (declaration?.kind !== "let" || declaration.init === undefined) return null;
    return isPointer(names, declaration.init) ? this.#structureAt(declaration.init) : null;
  }

  #structureOf(type: ExpressionElem | undefined): StructElem | null {
    const declaration = this.#names === null ? undefined : declarationOf(this.#names, type);
    if (declaration?.kind === "alias") return this.#structureOf(declaration.typeRef);
    return declaration?.kind === "struct" && this.#structures.has(declaration) ? declaration : null;
  }
}

function hasOneMember(node: Declaration): node is StructElem {
  return node.kind === "struct" && node.members.length === 1;
}

function isStorage({ template = [] }: GlobalVarElem): boolean {
  return template[0]?.name === "storage";
}

type NamedType = ReturnType<Names["of"]>;

function declarationOf(
  names: Names,
  type: ExpressionElem | undefined,
): NonNullable<NamedType>["declaration"] | undefined {
  const reference = type?.kind === "type" ? type.name.refIdentElem : type;
  return reference?.kind === "ref" ? names.of(reference)?.declaration : undefined;
}

function isRuntimeArray(names: Names, type: ExpressionElem): boolean {
  const declaration = declarationOf(names, type);
  if (declaration !== undefined) return declaration.kind === "alias" && isRuntimeArray(names, declaration.typeRef);
  return type.kind === "type" && type.name.originalName === "array" && type.templateParams?.length === 1;
}

/** What the type of a pointer points to. */
function pointedBy(names: Names, type: ExpressionElem | undefined): ExpressionElem | undefined {
  const declaration = declarationOf(names, type);
  if (declaration !== undefined)
    return declaration.kind === "alias" ? pointedBy(names, declaration.typeRef) : undefined;
  return type?.kind === "type" && type.name.originalName === "ptr" ? type.templateParams?.[1] : undefined;
}
