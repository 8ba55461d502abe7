/**
 * Functions as they are called: one instance for each combination of module variables that the pointers among its arguments
 * point to. So in an instance it is known which variable any place belongs to.
 */

import type { ExpressionElem, FnElem, FnParamElem, FunctionCallExpression, GlobalVarElem, Node } from "../parse.js";
import { calledReference } from "../parse.js";
import { childrenOf } from "./children.js";
import { type Names, RESERVED } from "./names.js";

/** The variable that a place is in or a pointer points into, and whether to the whole of it. */
export interface Root {
  readonly variable: GlobalVarElem;
  readonly whole: boolean;
}

export interface Instance {
  readonly fn: FnElem;
  /** What the text of the instance calls it. */
  readonly name: string;
  /** Of its pointers to variables of the module. */
  readonly roots: ReadonlyMap<FnParamElem, Root>;
  /** The functions of the module that it calls. */
  readonly calls: Map<FunctionCallExpression, Instance>;
}

/** All instances that an entry point reaches, itself first; a function comes after one that calls it. */
export function instancesOf(names: Names, entry: FnElem): Instance[] {
  const instances = new Map<string, Instance>();
  const pending: Instance[] = [];
  const instanceOf = (fn: FnElem, roots: ReadonlyMap<FnParamElem, Root>): Instance => {
    const { originalName } = fn.name.ident;
    const places = [...roots.values()].map(({ variable, whole }) => `${nameOf(variable)}${whole ? "" : "[]"}`);
    const key = `${originalName} ${places.join(" ")}`;
    const known = instances.get(key);
    if (known !== undefined) return known;
    const name = roots.size === 0 ? originalName : `${RESERVED}${originalName}_${instances.size}`;
    const instance = { fn, name, roots, calls: new Map<FunctionCallExpression, Instance>() };
    instances.set(key, instance);
    pending.push(instance);
    return instance;
  };
  instanceOf(entry, new Map());
  for (let instance = pending.shift(); instance !== undefined; instance = pending.shift()) {
    const caller = instance;
    forEachNode(caller.fn.body, (node) => {
      if (node.kind !== "call-expression") return;
      const callee = names.functionOf(calledReference(node));
      if (callee === null) return;
      const roots = new Map<FnParamElem, Root>();
      for (const [i, param] of callee.params.entries()) {
        const argument = node.arguments[i];
        if (argument === undefined || !isPointer(names, argument)) continue;
        const root = rootOf(names, caller, argument);
        if (root !== null) roots.set(param, root);
      }
      caller.calls.set(node, instanceOf(callee, roots));
    });
  }
  return [...instances.values()];
}

/** Calls `visit` for a node and all that is in it, in the order of the text. */
export function forEachNode(node: Node, visit: (node: Node) => void): void {
  visit(node);
  for (const child of childrenOf(node)) forEachNode(child, visit);
}

/** The variable of the module that a place or a pointer leads to; null for values and for what a function has itself. */
export function rootOf(names: Names, instance: Instance, node: ExpressionElem): Root | null {
  switch (node.kind) {
    case "ref": {
      const referent = names.of(node);
      if (referent === null) return null;
      const { declaration } = referent;
      if (declaration.kind === "gvar") return { variable: declaration, whole: true };
      if (declaration.kind === "param") return instance.roots.get(declaration) ?? null;
      if (declaration.kind !== "let" || declaration.init === undefined) return null;
      return isPointer(names, declaration.init) ? rootOf(names, instance, declaration.init) : null;
    }
    case "parenthesized-expression":
      return rootOf(names, instance, node.expression);
    case "unary-expression":
      return node.operator.value === "&" || node.operator.value === "*"
        ? rootOf(names, instance, node.expression)
        : null;
    case "component-expression":
    case "component-member-expression": {
      const root = rootOf(names, instance, node.base);
      return root === null ? null : { variable: root.variable, whole: false };
    }
    case "binary-expression":
    case "call-expression":
    case "literal":
    case "type":
      return null;
  }
}

/** Whether the value of an expression is a pointer. */
export function isPointer(names: Names, node: ExpressionElem): boolean {
  if (node.kind === "parenthesized-expression") return isPointer(names, node.expression);
  if (node.kind === "unary-expression") return node.operator.value === "&";
  if (node.kind !== "ref") return false;
  const declaration = names.of(node)?.declaration;
  if (declaration?.kind === "let") return declaration.init !== undefined && isPointer(names, declaration.init);
  return declaration?.kind === "param" && isPointerType(names, declaration.name.typeRef);
}

function isPointerType(names: Names, type: ExpressionElem | undefined): boolean {
  if (type === undefined || (type.kind !== "type" && type.kind !== "ref")) return false;
  const reference = type.kind === "type" ? type.name.refIdentElem : type;
  const declaration = names.of(reference)?.declaration;
  if (declaration === undefined) return reference.ident.originalName === "ptr";
  return declaration.kind === "alias" && isPointerType(names, declaration.typeRef);
}

export function nameOf(variable: GlobalVarElem): string {
  return variable.name.decl.ident.originalName;
}

/** "storage", "uniform", "private", "workgroup", or "handle" for textures and samplers, which have none. */
export function addressSpaceOf({ template = [] }: GlobalVarElem): string {
  return template[0]?.name ?? "handle";
}
