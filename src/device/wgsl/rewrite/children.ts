/** What a node of the syntax tree consists of, in the order of the text. */

import type { AttributeElem, ExpressionElem, Node, SyntaxNode } from "../parse.js";

type Parts = readonly (Node | undefined)[];

/** The nodes directly within a node: they do not overlap, and lie in its span. Names that are no identifiers are left out. */
export function childrenOf(node: Node): readonly Node[] {
  const parts = partsOf(node).filter((part) => part !== undefined);
  const attributes: readonly AttributeElem[] = ("attributes" in node ? node.attributes : undefined) ?? [];
  return [...attributes, ...parts].toSorted(byPlace);
}

function byPlace(a: SyntaxNode, b: SyntaxNode): number {
  return a.start - b.start;
}

function partsOf(node: Node): Parts {
  if (isExpression(node)) return expressionParts(node);
  switch (node.kind) {
    case "fn":
      return [node.name, ...node.params, ...(node.returnAttributes ?? []), node.returnType, node.body];
    case "struct":
      return [node.name, ...node.members];
    case "alias":
      return [node.name, node.typeRef];
    case "gvar":
    case "const":
    case "override":
    case "var":
    case "let":
      return [node.name.decl, node.name.typeRef, node.init];
    case "param":
      return [node.name.decl, node.name.typeRef];
    case "member":
      return [node.typeRef];
    case "assert":
      return [node.expression];
    case "attribute":
      return attributeParts(node);
    case "decl":
    case "directive":
    case "do":
    case "empty":
    case "import":
    case "continue":
    case "discard":
      return [];
    case "assign":
      return [node.lhs.kind === "phony" ? undefined : node.lhs, node.rhs];
    case "block":
      return node.body;
    case "break":
      return [node.condition];
    case "call":
      return [node.call];
    case "continuing":
      // The condition of its "break if" is that of the last statement.
      return [node.body];
    case "increment":
    case "decrement":
      return [node.target];
    case "for":
      return [node.init, node.condition, node.update, node.body];
    case "if":
      return [node.condition, node.body, node.else];
    case "loop":
      return [node.body];
    case "return":
      return [node.value];
    case "switch":
      return [node.selector, ...node.clauses];
    case "switch-clause":
      return [...node.selectors.filter((selector) => selector !== "default"), node.body];
    case "while":
      return [node.condition, node.body];
  }
}

function attributeParts({ attribute }: AttributeElem): Parts {
  return attribute.kind === "@attribute" ? (attribute.params ?? []).map(({ expression }) => expression) : [];
}

const EXPRESSIONS: ReadonlySet<string> = new Set<ExpressionElem["kind"]>([
  "binary-expression",
  "call-expression",
  "component-expression",
  "component-member-expression",
  "literal",
  "parenthesized-expression",
  "ref",
  "type",
  "unary-expression",
]);

export function isExpression(node: Node): node is ExpressionElem {
  return EXPRESSIONS.has(node.kind);
}

function expressionParts(node: ExpressionElem): Parts {
  switch (node.kind) {
    case "binary-expression":
      return [node.left, node.right];
    case "call-expression":
      return [node.function, ...(node.templateArgs ?? []), ...node.arguments];
    case "component-expression":
      return [node.base, node.access];
    case "component-member-expression":
      return [node.base];
    case "parenthesized-expression":
    case "unary-expression":
      return [node.expression];
    case "type":
      return [node.name.refIdentElem, ...(node.templateParams ?? [])];
    case "literal":
    case "ref":
      return [];
  }
}
