/** The parameters of a kernel's entry point, as an entry point of ours gives them: by names of ids that it has worked out. */

import { errorAt } from "../error-at.js";
import type { AttributeElem, ExpressionElem, FnElem, SyntaxNode } from "../parse.js";
import { type Names, RESERVED } from "./names.js";

export interface EntryArguments {
  /** Of our entry point, as text. */
  readonly parameters: readonly string[];
  /** What the kernel's function is called with, one expression for each of its own parameters. */
  readonly values: readonly string[];
}

/** Ids of the whole dispatch, which are worked out from those of the step. */
const WORKED_OUT: Readonly<Record<string, string>> = {
  global_invocation_id: `${RESERVED}invocation`,
  workgroup_id: `${RESERVED}workgroup`,
  num_workgroups: `${RESERVED}workgroups`,
};

const ALWAYS: Readonly<Record<string, string>> = {
  workgroup_id: "slot: vec3u",
  num_workgroups: "slots: vec3u",
  local_invocation_id: "local: vec3u",
};

/** Ids that are what they are, in whatever step. */
const PASSED_ON: Readonly<Record<string, string>> = {
  local_invocation_id: `${RESERVED}local`,
  local_invocation_index: "local_index: u32",
  subgroup_invocation_id: "subgroup_invocation: u32",
  subgroup_size: "subgroup_size: u32",
  subgroup_id: "subgroup: u32",
  num_subgroups: "subgroups: u32",
};

/** Throws a `KernelError` for a parameter that is no builtin which a kernel has. */
export function entryArguments(names: Names, entry: FnElem, text: string): EntryArguments {
  const parameters = new Set(Object.entries(ALWAYS).map(([name, declared]) => parameter(name, declared)));
  const refuse = (node: SyntaxNode, why: string): never => {
    throw errorAt(text, node.start, why);
  };
  const valueOf = (node: SyntaxNode, attributes: readonly AttributeElem[]): string => {
    for (const { attribute } of attributes) {
      if (attribute.kind !== "@builtin") continue;
      const { name } = attribute.param;
      if (Object.hasOwn(WORKED_OUT, name)) return WORKED_OUT[name];
      if (!Object.hasOwn(PASSED_ON, name)) refuse(attribute.param, `builtin ${name} is not supported`);
      const passed = PASSED_ON[name];
      if (!passed.includes(":")) return passed;
      parameters.add(parameter(name, passed));
      return `${RESERVED}${passed.slice(0, passed.indexOf(":"))}`;
    }
    return refuse(node, "a parameter of an entry point needs @builtin");
  };
  const values = entry.params.map(({ name, attributes = [], start }) => {
    const members = attributes.length > 0 ? null : membersOf(names, name.typeRef);
    if (members === null) return valueOf({ start, end: start }, attributes);
    return `${members.type}(${members.members.map((member) => valueOf(member, member.attributes ?? [])).join(", ")})`;
  });
  return { parameters: [...parameters], values };
}

function parameter(name: string, declared: string): string {
  return `@builtin(${name}) ${RESERVED}${declared}`;
}

interface Members {
  readonly type: string;
  readonly members: readonly (SyntaxNode & { readonly attributes?: AttributeElem[] })[];
}

function membersOf(names: Names, type: ExpressionElem | undefined): Members | null {
  if (type?.kind !== "type") return null;
  const declaration = names.of(type.name.refIdentElem)?.declaration;
  if (declaration?.kind === "alias") return membersOf(names, declaration.typeRef);
  return declaration?.kind === "struct"
    ? { type: declaration.name.ident.originalName, members: declaration.members }
    : null;
}
