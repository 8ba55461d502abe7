/** The parser of WGSL: the one place that knows which package it is. It gives a module's declarations as a syntax tree. */

import { type AbstractElem, parseSrcModule } from "wesl/core";
import { KernelError } from "../kernel-error.js";

export type {
  AliasElem,
  AssignElem,
  AttributeElem,
  BinaryExpression,
  BlockElem,
  ConstElem,
  ContinuingElem,
  ExpressionElem,
  FnElem,
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
  SwitchElem,
  TypeRefElem,
  UnaryExpression,
  VarElem,
  WhileElem,
} from "wesl/core";

/** Any node of the tree: `start` and `end` are offsets in the text. */
export type SyntaxNode = { readonly start: number; readonly end: number };

/** The declarations of a module. Throws a `KernelError` at the first place that is no WGSL. */
export function parseDeclarations(text: string): readonly AbstractElem[] {
  const { moduleElem, diagnostics } = parse(text);
  for (const { severity, start, message } of diagnostics) {
    if (severity === "error") throw KernelError.at(text, start, message);
  }
  return moduleElem.decls;
}

function parse(text: string): ReturnType<typeof parseSrcModule> {
  try {
    return parseSrcModule({ modulePath: "package::kernel", debugFilePath: "kernel.wgsl", src: text });
  } catch (error) {
    const { message, span } = error as { message?: unknown; span?: readonly [number, number] };
    throw KernelError.at(text, Array.isArray(span) ? span[0] : 0, String(message));
  }
}
