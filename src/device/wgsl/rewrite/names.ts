/**
 * What each identifier of a module refers to. What a module declares is known everywhere in it; what a function declares,
 * from the end of its declaration to the end of the block.
 */

import { errorAt } from "../error-at.js";
import type {
  ConstElem,
  Declaration,
  DeclIdentElem,
  FnElem,
  FnParamElem,
  LetElem,
  Node,
  RefIdentElem,
  VarElem,
} from "../parse.js";
import { childrenOf } from "./children.js";

/** A declaration within a function. */
export type LocalDeclaration = ConstElem | FnParamElem | LetElem | VarElem;

/** What an identifier refers to; a name that nobody declares is WGSL's own. */
export type Referent =
  | { readonly kind: "global"; readonly declaration: NamedDeclaration }
  | { readonly kind: "local"; readonly declaration: LocalDeclaration };

export type NamedDeclaration = Extract<
  Declaration,
  { kind: "alias" | "const" | "fn" | "gvar" | "override" | "struct" }
>;

interface Scope {
  readonly parent: Scope | null;
  readonly names: Map<string, LocalDeclaration>;
}

/** Names that rewriting adds begin so. */
export const RESERVED = "pageferry_";

/** In a function of the kernel's, where `u32` may be a variable: what turns an index into a u32. */
export const INDEX = `${RESERVED}index`;
export const INDEX_DECLARATION = `alias ${INDEX} = u32;`;

/** Names of WGSL's own that what is added stands on. */
const NEEDED =
  /^(?:[iu]32|f32|bool|array|atomic(?:Load|Store|Add|Sub|Max|Min|And|Or|Xor|Exchange|CompareExchangeWeak)?|vec[234][fiu]?|mat[234]x[234]f?|min|select|any|bitcast|arrayLength)$/;

export class Names {
  readonly globals = new Map<string, NamedDeclaration>();
  readonly #text: string;
  readonly #referents = new Map<RefIdentElem, Referent>();

  /** Throws a `KernelError` for a name that rewriting could add as well, and for one that it needs with WGSL's meaning. */
  constructor(text: string, declarations: readonly Declaration[]) {
    this.#text = text;
    for (const declaration of declarations) {
      const name = declaredBy(declaration);
      if (name === null) continue;
      this.#check(name);
      this.#checkNeeded(name);
      this.globals.set(name.ident.originalName, declaration as NamedDeclaration);
    }
    for (const declaration of declarations) this.#visit(declaration, { parent: null, names: new Map() });
  }

  /** null for what is WGSL's own. */
  of(reference: RefIdentElem): Referent | null {
    return this.#referents.get(reference) ?? null;
  }

  /** The function of the module that is called; null for a type or one of WGSL's own. */
  functionOf(reference: RefIdentElem): FnElem | null {
    const referent = this.of(reference);
    return referent?.kind === "global" && referent.declaration.kind === "fn" ? referent.declaration : null;
  }

  #visit(node: Node, scope: Scope): void {
    const { kind } = node;
    if (kind === "ref") this.#refer(node, scope);
    else if (kind === "fn" || kind === "for" || kind === "block")
      this.#visitAll(node, { parent: scope, names: new Map() });
    else {
      this.#visitAll(node, scope);
      if (kind !== "param" && kind !== "const" && kind !== "let" && kind !== "var") return;
      this.#check(node.name.decl);
      scope.names.set(node.name.decl.ident.originalName, node);
    }
  }

  #visitAll(node: Node, scope: Scope): void {
    for (const child of childrenOf(node)) this.#visit(child, scope);
  }

  #refer(node: RefIdentElem, scope: Scope): void {
    const name = node.ident.originalName;
    for (let at: Scope | null = scope; at !== null; at = at.parent) {
      const declaration = at.names.get(name);
      if (declaration === undefined) continue;
      this.#referents.set(node, { kind: "local", declaration });
      return;
    }
    const declaration = this.globals.get(name);
    if (declaration !== undefined) this.#referents.set(node, { kind: "global", declaration });
  }

  #checkNeeded({ ident: { originalName }, start }: DeclIdentElem): void {
    if (NEEDED.test(originalName))
      throw errorAt(this.#text, start, `"${originalName}" is a name of WGSL's own that no module may hide here`);
  }

  #check({ ident: { originalName }, start }: DeclIdentElem): void {
    if (originalName.startsWith(RESERVED))
      throw errorAt(this.#text, start, `names that begin with ${RESERVED} are taken ("${originalName}")`);
  }
}

function declaredBy(declaration: Declaration): DeclIdentElem | null {
  switch (declaration.kind) {
    case "alias":
    case "fn":
    case "struct":
      return declaration.name;
    case "const":
    case "gvar":
    case "override":
      return declaration.name.decl;
    case "assert":
    case "directive":
    case "do":
    case "empty":
    case "import":
      return null;
  }
}
