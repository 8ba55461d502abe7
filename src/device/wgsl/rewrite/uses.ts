/** Which variables of the module an instance of a function uses, and how. */

import type { ExpressionElem, FunctionCallExpression, GlobalVarElem, Node } from "../parse.js";
import { calledReference } from "../parse.js";
import { childrenOf, isExpression } from "./children.js";
import { type Instance, rootOf } from "./instances.js";
import type { Names } from "./names.js";

export interface Use {
  read: boolean;
  written: boolean;
  /** By atomic functions. */
  atomic: boolean;
}

/** What happens at a place: "pointed" only says where it is. */
type Access = "atomic read" | "atomic update" | "atomic write" | "pointed" | "read" | "update" | "write";

const ATOMICS: Readonly<Record<string, Access>> = { atomicLoad: "atomic read", atomicStore: "atomic write" };

/** The variables that the body of an instance uses by itself: what it calls is an instance of its own. */
export function usesOf(names: Names, instance: Instance): Map<GlobalVarElem, Use> {
  const uses = new Map<GlobalVarElem, Use>();
  const note = (node: ExpressionElem, access: Access): boolean => {
    const root = rootOf(names, instance, node);
    if (root === null) return false;
    let use = uses.get(root.variable);
    if (use === undefined) {
      use = { read: false, written: false, atomic: false };
      uses.set(root.variable, use);
    }
    use.read ||= access.endsWith("read") || access.endsWith("update");
    use.written ||= access.endsWith("write") || access.endsWith("update");
    use.atomic ||= access.startsWith("atomic");
    return true;
  };
  const visitPlace = (node: ExpressionElem, access: Access): void => {
    if (note(node, access)) visitIndices(node);
    else visitAll(node);
  };
  /** What is read to find the place. */
  const visitIndices = (node: ExpressionElem): void => {
    if (node.kind === "component-expression") {
      visit(node.access);
      visitIndices(node.base);
    } else if (node.kind === "component-member-expression") visitIndices(node.base);
    else if (node.kind === "parenthesized-expression" || node.kind === "unary-expression")
      visitIndices(node.expression);
  };
  const visit = (node: Node): void => {
    const { kind } = node;
    if (kind === "assign") {
      if (node.lhs.kind !== "phony") visitPlace(node.lhs, node.op.value === "=" ? "write" : "update");
      visit(node.rhs);
    } else if (kind === "increment" || kind === "decrement") visitPlace(node.target, "update");
    else if (kind === "call-expression") visitCall(node);
    else if (kind === "unary-expression" && node.operator.value === "&") visitPlace(node.expression, "pointed");
    // The name of a pointer is no use of what it points to.
    else if (kind === "ref" && names.of(node)?.kind === "local") return;
    else if (isExpression(node)) visitPlace(node, "read");
    else visitAll(node);
  };
  const visitCall = (node: FunctionCallExpression): void => {
    const reference = calledReference(node);
    const { originalName } = reference.ident;
    const isOwn = names.of(reference) === null;
    if (isOwn && originalName.startsWith("atomic") && node.arguments.length > 0) {
      const [pointer, ...rest] = node.arguments;
      visitPlace(pointer, ATOMICS[originalName] ?? "atomic update");
      rest.forEach(visit);
    } else if (isOwn && originalName === "arrayLength")
      node.arguments.forEach((pointer) => visitPlace(pointer, "pointed"));
    else if (isOwn && originalName === "workgroupUniformLoad")
      node.arguments.forEach((pointer) => visitPlace(pointer, "read"));
    else visitAll(node);
  };
  const visitAll = (node: Node): void => childrenOf(node).forEach(visit);
  visit(instance.fn.body);
  return uses;
}
