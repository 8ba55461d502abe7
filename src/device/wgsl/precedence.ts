/**
 * How tightly operators bind. The parser (wesl 0.7.31) gets it wrong where a tighter operator is followed by one in between: it
 * reads `a == b * c + d` as `(a == b * c) + d`. Here such chains are put together anew, by WGSL's rules.
 */

import type { BinaryExpression, ExpressionElem, Node } from "./parse.js";
import { childrenOf } from "./rewrite/children.js";

type Operator = BinaryExpression["operator"];

const LEVELS: readonly (readonly Operator["value"][])[] = [
  ["||"],
  ["&&"],
  ["|", "^", "&"],
  ["==", "!=", "<", "<=", ">", ">="],
  ["<<", ">>"],
  ["+", "-"],
  ["*", "/", "%"],
];

const LEVEL = new Map(LEVELS.flatMap((operators, level) => operators.map((operator) => [operator, level] as const)));

/** Puts the operators of a node, and of all that is in it, together as they bind. The nodes at the top of chains stay the same. */
export function bindOperators(node: Node): void {
  const operands: ExpressionElem[] = [];
  const operators: Operator[] = [];
  if (node.kind !== "binary-expression") {
    for (const child of childrenOf(node)) bindOperators(child);
    return;
  }
  flatten(node, operands, operators);
  operands.forEach(bindOperators);
  if (operators.length < 2) return;
  const bound = bind(operands, operators) as BinaryExpression;
  node.left = bound.left;
  node.operator = bound.operator;
  node.right = bound.right;
}

/** The chain in the order of the text. */
function flatten(node: ExpressionElem, operands: ExpressionElem[], operators: Operator[]): void {
  if (node.kind !== "binary-expression") {
    operands.push(node);
    return;
  }
  flatten(node.left, operands, operators);
  operators.push(node.operator);
  flatten(node.right, operands, operators);
}

/** All operators associate to the left: what is on the stack binds at least as tightly as what is put on it. */
function bind(operands: readonly ExpressionElem[], operators: readonly Operator[]): ExpressionElem {
  const bound: ExpressionElem[] = [operands[0]];
  const waiting: Operator[] = [];
  const join = (): void => {
    const right = bound.pop() as ExpressionElem;
    const left = bound.pop() as ExpressionElem;
    const operator = waiting.pop() as Operator;
    bound.push({ kind: "binary-expression", left, operator, right, start: left.start, end: right.end });
  };
  operators.forEach((operator, i) => {
    while (waiting.length > 0 && levelOf(waiting[waiting.length - 1]) >= levelOf(operator)) join();
    waiting.push(operator);
    bound.push(operands[i + 1]);
  });
  while (waiting.length > 0) join();
  return bound[0];
}

function levelOf({ value }: Operator): number {
  return LEVEL.get(value) ?? 0;
}
