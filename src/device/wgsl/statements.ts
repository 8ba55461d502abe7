/** Statements. Blocks share one JavaScript function, so that its variables are declared by `var`, each under its own name. */

import type { Compilation } from "./compilation.js";
import { concrete, operate, zeroOf } from "./arithmetic.js";
import { call, expression, expressionOf, hasEffects, initializer, placeOf, pointerOf, spill } from "./expressions.js";
import {
  calledName,
  type AssignElem,
  type BlockElem,
  type ConstElem,
  type ContinuingElem,
  type ExpressionElem,
  type ForElem,
  type IfElem,
  type LetElem,
  type LoopElem,
  type Statement,
  type SwitchElem,
  type SyntaxNode,
  type VarElem,
} from "./parse.js";
import { loopEnd } from "./paged-places.js";
import { clear, load, store } from "./places.js";
import { typeOf } from "./type-syntax.js";
import { BOOL, countOf, hasArray, hasAtomic, I32, nameOfType, sameType, type Type, U32 } from "./types.js";
import { constantValue, type Place } from "./value.js";

type Scope = Compilation["scope"];

export function block(c: Compilation, { body }: BlockElem, parent: Scope): void {
  c.inScope(parent, () => statements(c, body));
}

/** In the scope that is open. */
export function statements(c: Compilation, body: readonly Statement[]): void {
  for (const inner of body) statement(c, inner);
}

function statement(c: Compilation, node: Statement): void {
  refuseConditions(c, node);
  switch (node.kind) {
    case "empty":
      return;
    case "block":
      return block(c, node, c.scope);
    case "var":
      return variable(c, node);
    case "let":
      return letStatement(c, node);
    case "const":
      return constStatement(c, node);
    case "assert":
      return assertStatement(c, node, node.expression);
    case "assign":
      return assign(c, node);
    case "increment":
    case "decrement":
      return count(c, node, node.target, node.kind === "increment" ? "+" : "-");
    case "call":
      call(c, node.call);
      return;
    case "if":
      return ifStatement(c, node);
    case "for":
      return forStatement(c, node);
    case "while":
      return repeat(c, node.condition, node.body, null);
    case "loop":
      return loop(c, node);
    case "switch":
      return switchStatement(c, node);
    case "break": {
      const target = c.targets[c.targets.length - 1] ?? c.refuse(node, "a break outside of loops and switches");
      if (node.condition !== undefined) return c.refuse(node, "a break if outside of continuing");
      return c.emit(`break ${target.label};`);
    }
    case "continue": {
      const target = c.targets.findLast(({ continueLabel }) => continueLabel !== null);
      return c.emit(`break ${target?.continueLabel ?? c.refuse(node, "a continue outside of loops")};`);
    }
    case "return":
      return returnStatement(c, node, node.value);
    case "discard":
      return c.refuse(node, "discard is for fragment shaders");
    case "continuing":
      return c.refuse(node, "a continuing block has to be the last of a loop");
    default:
      return c.refuse(
        node,
        `this statement (${(node as { kind: string }).kind}) is not supported by the software device`,
      );
  }
}

/** `@if` and its like are not WGSL. */
export function refuseConditions(c: Compilation, node: object): void {
  const { attributes = [] } = node as { attributes?: readonly ({ attribute: { kind: string } } & SyntaxNode)[] };
  for (const attribute of attributes) {
    const { kind } = attribute.attribute;
    if (kind === "@if" || kind === "@elif" || kind === "@else") c.refuse(attribute, `${kind} is not WGSL`);
  }
}

function variable(c: Compilation, { name: { decl, typeRef }, template = [], init, ...node }: VarElem): void {
  if (template.some(({ name }) => name !== "function"))
    c.refuse(node, "a variable of a function is in address space function");
  const declared = typeRef === undefined ? null : typeOf(c, typeRef);
  const value = initializer(c, init, declared);
  const type = declared ?? value?.type ?? c.refuse(node, "a variable needs a type or a value");
  const place = newVariable(c, decl, type);
  if (place.kind === "memory" && value === null) clear(c, place);
  else store(c, node, place, value ?? zeroOf(c, node, type));
  c.declare(decl, decl.ident.originalName, { kind: "place", place });
}

/** Arrays are in memory, all else in variables. Its contents are yet to be written. */
export function newVariable(c: Compilation, node: SyntaxNode, type: Type): Place {
  if (!Number.isFinite(countOf(type)) || hasAtomic(type))
    c.refuse(node, `no variable can be of type ${nameOfType(type)}`);
  if (hasArray(type)) {
    const word = c.reserve(node, countOf(type));
    return { kind: "memory", type, root: c.memory("read_write"), dynamic: "", word };
  }
  const names = Array.from({ length: countOf(type) }, () => c.fresh("v"));
  c.emit(`var ${names.join(", ")};`);
  return { kind: "names", type, names, access: "read_write" };
}

function letStatement(c: Compilation, { name: { decl, typeRef }, init, ...node }: LetElem): void {
  if (init === undefined) return c.refuse(node, "a let needs a value");
  const name = decl.ident.originalName;
  const place = pointerOf(c, init);
  if (place !== null) {
    if (typeRef !== undefined) c.refuse(typeRef, "the type of a pointer in a let is not supported: leave it out");
    return c.declare(decl, name, { kind: "pointer", place });
  }
  const value =
    typeRef === undefined ? concrete(c, init, expression(c, init)) : expressionOf(c, init, typeOf(c, typeRef));
  if (hasArray(value.type)) return c.declare(decl, name, { kind: "place", place: spill(c, node, value) });
  c.declare(decl, name, { kind: "value", value: asVariable(c.settle(value)) });
}

/** A let of a constant is none: what is worked out from it wraps around, as it does when the kernel runs. */
function asVariable({ type, parts }: { type: Type; parts: readonly string[] }): {
  type: Type;
  parts: readonly string[];
} {
  return { type, parts };
}

export function constStatement(c: Compilation, node: ConstElem): void {
  const { decl } = node.name;
  c.declare(decl, decl.ident.originalName, { kind: "value", value: constantOf(c, node) });
}

export function constantOf(
  c: Compilation,
  { name: { decl, typeRef }, init }: ConstElem,
): ReturnType<typeof expression> {
  if (init === undefined) return c.refuse(decl, "a const needs a value");
  const value = typeRef === undefined ? expression(c, init) : expressionOf(c, init, typeOf(c, typeRef));
  return value.constants === undefined ? c.refuse(init, "the value of a const is no constant") : value;
}

export function assertStatement(c: Compilation, node: SyntaxNode, asserted: ExpressionElem): void {
  const { constants } = expressionOf(c, asserted, BOOL);
  if (constants === undefined) c.refuse(node, "what const_assert asserts is no constant");
  if (constants[0] !== true) c.refuse(node, "const_assert does not hold");
}

function assign(c: Compilation, node: AssignElem): void {
  const { lhs, op, rhs } = node;
  if (lhs.kind === "phony") {
    if (pointerOf(c, rhs) === null) c.settle(expression(c, rhs));
    return;
  }
  const place = placeOf(c, lhs) ?? c.refuse(lhs, `${describe(lhs)} cannot be assigned to`);
  if (op.value === "=") {
    return store(c, node, place, expressionOf(c, rhs, place.type));
  }
  const before = load(c, lhs, place);
  const left = hasEffects(c, rhs) ? c.settle(before) : before;
  const result = operate(c, node, op.value.slice(0, -1), left, expression(c, rhs));
  if (!sameType(result.type, place.type)) {
    c.refuse(node, `${op.value} would make ${nameOfType(result.type)} of ${nameOfType(place.type)}`);
  }
  store(c, node, place, result);
}

function describe(node: ExpressionElem): string {
  if (node.kind === "component-member-expression" && node.access.name.length > 1) return "a swizzle";
  if (node.kind === "call-expression") return `what ${calledName(node)} returns`;
  return node.kind === "ref" ? `"${node.ident.originalName}"` : "this value";
}

function count(c: Compilation, node: SyntaxNode, target: ExpressionElem, operator: string): void {
  const place = placeOf(c, target) ?? c.refuse(target, `${describe(target)} cannot be assigned to`);
  if (place.type !== I32 && place.type !== U32)
    c.refuse(node, `${operator}${operator} does not take ${nameOfType(place.type)}`);
  store(c, node, place, operate(c, node, operator, load(c, target, place), constantValue(place.type, [1])));
}

function ifStatement(c: Compilation, node: IfElem): void {
  const [condition] = expressionOf(c, node.condition, BOOL).parts;
  c.emit(`if (${condition}) {`);
  block(c, node.body, c.scope);
  c.emit("}");
  if (node.else === undefined) return;
  c.emit("else {");
  statement(c, node.else);
  c.emit("}");
}

function forStatement(c: Compilation, { init, condition, body, update }: ForElem): void {
  c.inScope(c.scope, () => {
    if (init !== undefined) statement(c, init);
    repeat(c, condition ?? null, body, () => {
      if (update !== undefined) statement(c, update);
    });
  });
}

function repeat(c: Compilation, condition: ExpressionElem | null, body: BlockElem, update: (() => void) | null): void {
  const target = { label: c.fresh("L"), continueLabel: c.fresh("L") };
  c.emit(`${target.label}: for (;;) {`);
  if (c.paged) c.emit(loopEnd(target.label));
  if (condition !== null) c.emit(`if (!${expressionOf(c, condition, BOOL).parts[0]}) break ${target.label};`);
  c.targets.push(target);
  c.emit(`${target.continueLabel}: {`);
  block(c, body, c.scope);
  c.emit("}");
  c.targets.pop();
  update?.();
  c.emit("}");
}

/** What the body declares is in scope in the continuing block, too. */
function loop(c: Compilation, { body, continuing }: LoopElem): void {
  const target = { label: c.fresh("L"), continueLabel: c.fresh("L") };
  c.emit(`${target.label}: for (;;) {`);
  if (c.paged) c.emit(loopEnd(target.label));
  c.targets.push(target);
  c.inScope(c.scope, () => {
    c.emit(`${target.continueLabel}: {`);
    for (const inner of body.body) if (inner !== continuing) statement(c, inner);
    c.emit("}");
    if (continuing !== undefined) continuingBlock(c, continuing, target.label);
  });
  c.targets.pop();
  c.emit("}");
}

function continuingBlock(c: Compilation, { body, breakIf }: ContinuingElem, label: string): void {
  const targets = c.targets;
  c.targets = [];
  c.inScope(c.scope, () => {
    for (const inner of body.body) {
      if (inner.kind === "break" && inner.condition !== undefined && inner.condition === breakIf) continue;
      if (inner.kind === "return") c.refuse(inner, "a return in a continuing block");
      statement(c, inner);
    }
    if (breakIf !== undefined) c.emit(`if (${expressionOf(c, breakIf, BOOL).parts[0]}) break ${label};`);
  });
  c.targets = targets;
}

function switchStatement(c: Compilation, { selector, clauses, ...node }: SwitchElem): void {
  const selected = expression(c, selector);
  const value = concrete(c, selector, selected);
  if (value.type !== I32 && value.type !== U32)
    c.refuse(selector, `a switch is on i32 or u32, not ${nameOfType(value.type)}`);
  const label = c.fresh("L");
  const seen = new Set<string>();
  c.emit(`${label}: switch (${value.parts[0]}) {`);
  for (const clause of clauses) {
    for (const choice of clause.selectors) {
      const test = choice === "default" ? "default" : caseOf(c, choice, value.type);
      if (seen.has(test)) c.refuse(choice === "default" ? clause : choice, `${test} is in the switch twice`);
      seen.add(test);
      c.emit(`${test}:`);
    }
    c.emit("{");
    c.targets.push({ label, continueLabel: null });
    block(c, clause.body, c.scope);
    c.targets.pop();
    c.emit(`break ${label};`);
    c.emit("}");
  }
  c.emit("}");
  if (!seen.has("default")) c.refuse(node, "a switch needs a default");
}

function caseOf(c: Compilation, node: ExpressionElem, type: Type): string {
  const { constants, parts } = expressionOf(c, node, type);
  if (constants === undefined) c.refuse(node, "a case is no constant");
  return `case ${parts[0]}`;
}

function returnStatement(c: Compilation, node: SyntaxNode, value: ExpressionElem | undefined): void {
  const { type, label, names } = c.returns[c.returns.length - 1];
  if ((type === null) !== (value === undefined)) {
    c.refuse(
      node,
      type === null ? "a function without a result returns a value" : `a return without a ${nameOfType(type)}`,
    );
  }
  if (type !== null && value !== undefined) {
    const { parts } = expressionOf(c, value, type);
    names.forEach((name, i) => c.emit(`${name} = ${parts[i]};`));
  }
  c.emit(`break ${label};`);
}
