/** The parser of WGSL: the one place that knows which package it is. It gives a module's declarations as a syntax tree. */

import {
  type AliasElem,
  type AttributeElem,
  type ConstAssertElem,
  type ConstElem,
  type DeclIdentElem,
  type DirectiveElem,
  type DoBlockElem,
  type EmptyElem,
  type ExpressionElem,
  type FnElem,
  type FnParamElem,
  type FunctionCallExpression,
  type GlobalVarElem,
  type ImportElem,
  type OverrideElem,
  parseSrcModule,
  type RefIdentElem,
  type Statement,
  type StructElem,
  type StructMemberElem,
  type SwitchClauseElem,
} from "wesl/core";
import { errorAt } from "./error-at.js";
import { bindOperators } from "./precedence.js";

export type {
  AliasElem,
  AssignElem,
  AttributeElem,
  BinaryExpression,
  BlockElem,
  ConstElem,
  ContinuingElem,
  DeclIdentElem,
  ExpressionElem,
  FnElem,
  FnParamElem,
  ForElem,
  FunctionCallExpression,
  GlobalVarElem,
  IfElem,
  LetElem,
  LoopElem,
  OverrideElem,
  RefIdentElem,
  Statement,
  StructElem,
  StructMemberElem,
  SwitchClauseElem,
  SwitchElem,
  TypeRefElem,
  UnaryExpression,
  VarElem,
  WhileElem,
} from "wesl/core";

/** Any node of the tree: `start` and `end` are offsets in the text. */
export type SyntaxNode = { readonly start: number; readonly end: number };

/** What stands at the top of a module. */
export type Declaration =
  | AliasElem
  | ConstAssertElem
  | ConstElem
  | DirectiveElem
  | DoBlockElem
  | EmptyElem
  | FnElem
  | GlobalVarElem
  | ImportElem
  | OverrideElem
  | StructElem;

/** What a text consists of, down to names and numbers. */
export type Node =
  | AttributeElem
  | Declaration
  | DeclIdentElem
  | ExpressionElem
  | FnParamElem
  | Statement
  | StructMemberElem
  | SwitchClauseElem;

/** The declarations of a module. Throws a `KernelError` at the first place that is no WGSL. */
export function parseDeclarations(text: string): readonly Declaration[] {
  const { moduleElem, diagnostics } = parse(text);
  for (const { severity, start, message } of diagnostics) {
    if (severity === "error") throw errorAt(text, start, message);
  }
  const declarations = moduleElem.decls as readonly Declaration[];
  declarations.forEach(bindOperators);
  return declarations;
}

function parse(text: string): ReturnType<typeof parseSrcModule> {
  try {
    return parseSrcModule({ modulePath: "package::kernel", debugFilePath: "kernel.wgsl", src: text });
  } catch (error) {
    const { message, span } = error as { message?: unknown; span?: readonly [number, number] };
    throw errorAt(text, Array.isArray(span) ? span[0] : 0, String(message));
  }
}

/** What a call refers to: a function, or the type that is made. */
export function calledReference(node: FunctionCallExpression): RefIdentElem {
  return node.function.kind === "type" ? node.function.name.refIdentElem : node.function;
}

/** The name of a function, or of the type that is made. */
export function calledName(node: FunctionCallExpression): string {
  return node.function.kind === "type" ? node.function.name.originalName : node.function.ident.originalName;
}
