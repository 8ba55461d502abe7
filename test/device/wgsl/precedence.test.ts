// Operators bind as WGSL says, whatever the parser makes of chains of them.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { ExpressionElem } from "../../../src/device/wgsl/parse.js";
import { parseDeclarations } from "../../../src/device/wgsl/parse.js";

/** The expression with every operation in parentheses. */
function grouped(expression: string): string {
  const [declaration] = parseDeclarations(`const value = ${expression};`);
  assert.ok(declaration?.kind === "const" && declaration.init !== undefined);
  return text(declaration.init);
}

function text(node: ExpressionElem): string {
  if (node.kind === "binary-expression") return `(${text(node.left)} ${node.operator.value} ${text(node.right)})`;
  if (node.kind === "parenthesized-expression") return `[${text(node.expression)}]`;
  if (node.kind === "unary-expression") return `${node.operator.value}${text(node.expression)}`;
  return node.kind === "ref" ? node.ident.originalName : assert.fail(node.kind);
}

const cases: Readonly<Record<string, string>> = {
  "a == b * c + d": "(a == ((b * c) + d))",
  "a - b - c * d - e": "(((a - b) - (c * d)) - e)",
  "a && b < c * d - e && f": "((a && (b < ((c * d) - e))) && f)",
  "a < [b == c * d + e]": "(a < [(b == ((c * d) + e))])",
  "-a % b / -c": "((-a % b) / -c)",
  "a | b | c": "((a | b) | c)",
};

for (const [expression, expected] of Object.entries(cases)) {
  test(`${expression} is ${expected}`, () => {
    assert.equal(grouped(expression.replaceAll("[", "(").replaceAll("]", ")")), expected);
  });
}

test("any chain of arithmetic, a comparison and logic binds as JavaScript's operators do", () => {
  const arithmetic = fc
    .array(fc.constantFrom("+", "-", "*", "/", "%"), { maxLength: 6 })
    .map((operators) => operators.reduce((chain, operator, i) => `${chain} ${operator} v${i}`, "w"));
  const comparison = fc
    .tuple(arithmetic, fc.constantFrom("==", "<", ">="), arithmetic)
    .map(([left, operator, right]) => `${left} ${operator} ${right}`);
  const logic = fc.array(comparison, { minLength: 1, maxLength: 4 }).map((parts) => parts.join(" && "));
  fc.assert(
    fc.property(logic, fc.infiniteStream(fc.integer({ min: 1, max: 9 })), (expression, numbers) => {
      const values = new Map<string, string>();
      const inNumbers = (chain: string): string =>
        chain.replace(/\b[vw]\d*\b/g, (name) => {
          const value = values.get(name) ?? String(numbers.next().value);
          values.set(name, value);
          return value;
        });
      // Numbers and operators alone; what is compared is the structure, by its results.
      // oxlint-disable-next-line no-eval
      const evaluate = (chain: string): unknown => (0, eval)(chain.replaceAll("==", "==="));
      assert.equal(evaluate(inNumbers(grouped(expression))), evaluate(inNumbers(expression)), expression);
    }),
  );
});
