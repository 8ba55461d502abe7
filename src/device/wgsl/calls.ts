/** Calls of a kernel's own functions, which are written out where they are called. */

import type { Compilation } from "./compilation.js";
import { convert, zeroOf } from "./arithmetic.js";
import { calledName, type FnElem, type FunctionCallExpression } from "./parse.js";
import { pointerType, typeOf } from "./type-syntax.js";
import { countOf, nameOfType, sameType } from "./types.js";
import type { Place, Value } from "./value.js";

/** Calls within calls, which only a kernel that nobody writes by hand has more of. */
const MOST_CALLS = 255;

type Argument = { readonly place: Place } | { readonly value: Value };

/** The result; null for a function without one. */
export function callFunction(c: Compilation, node: FunctionCallExpression, fn: FnElem): Value | null {
  const name = calledName(node);
  if (c.returns.some((outer) => outer.fn === fn)) c.refuse(node, `function "${name}" calls itself`);
  if (c.returns.length > MOST_CALLS) c.refuse(node, `more than ${MOST_CALLS} calls within calls`);
  if (node.arguments.length !== fn.params.length) {
    c.refuse(node, `function "${name}" takes ${fn.params.length} arguments, not ${node.arguments.length}`);
  }
  const given = node.arguments.map((argument, i): Argument => {
    const place = c.reader.pointerOf(c, argument);
    if (place !== null) return { place };
    const value = c.reader.expression(c, argument);
    return {
      value: node.arguments.slice(i + 1).some((later) => c.reader.hasEffects(c, later)) ? c.settle(value) : value,
    };
  });
  return c.inScope(null, () => {
    fn.params.forEach(({ name: { decl, typeRef } }, i) => {
      const argument = given[i];
      const at = node.arguments[i];
      if (typeRef === undefined) return c.refuse(decl, "a parameter needs a type");
      const pointed = pointerType(c, typeRef);
      if ((pointed !== null) !== "place" in argument) {
        c.refuse(at, `expected ${pointed === null ? nameOfType(typeOf(c, typeRef)) : "a pointer"} as argument`);
      }
      if ("place" in argument) {
        if (!sameType(argument.place.type, pointed!)) {
          c.refuse(
            at,
            `expected a pointer to ${nameOfType(pointed!)}, found one to ${nameOfType(argument.place.type)}`,
          );
        }
        c.declare(decl, decl.ident.originalName, { kind: "pointer", place: argument.place });
      } else {
        const value = c.settle(convert(c, at, argument.value, typeOf(c, typeRef)));
        c.declare(decl, decl.ident.originalName, { kind: "value", value });
      }
    });
    return writeOut(c, fn);
  });
}

/** The function's body, as a block that `return` leaves. Its parameters are in scope. */
export function writeOut(c: Compilation, fn: FnElem): Value | null {
  const type = fn.returnType === undefined ? null : typeOf(c, fn.returnType);
  const label = c.fresh("L");
  const names = Array.from({ length: type === null ? 0 : countOf(type) }, () => c.fresh("t"));
  const targets = c.targets;
  c.targets = [];
  c.returns.push({ fn, label, type, names });
  if (type !== null) {
    const { parts } = zeroOf(c, fn, type);
    names.forEach((name, i) => c.emit(`var ${name} = ${parts[i]};`));
  }
  c.emit(`${label}: {`);
  c.reader.statements(c, fn.body.body);
  c.emit("}");
  c.returns.pop();
  c.targets = targets;
  return type === null ? null : { type, parts: names };
}
