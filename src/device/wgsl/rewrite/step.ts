/**
 * From a kernel to a module that runs one step of a dispatch on a GPU: plain WGSL, in which each array is the part of it
 * that the step has, and the ids are those of the whole dispatch.
 *
 * All variables are in group 0, by numbers that are given here. The kernel's function keeps its text and loses its
 * attributes; an entry point of ours works the ids out and calls it.
 */

import type { KernelDescription } from "../describe.js";
import {
  type AttributeElem,
  calledReference,
  type ExpressionElem,
  type FnElem,
  type GlobalVarElem,
  type Node,
} from "../parse.js";
import { childrenOf } from "./children.js";
import { entryArguments } from "./entry-arguments.js";
import { type Instance, nameOf, rootOf } from "./instances.js";
import { type BindingPlace, declarationsOf, placesOf, withPlace } from "./module-text.js";
import { INDEX, INDEX_DECLARATION, type Names, RESERVED } from "./names.js";
import { render, splice } from "./render.js";
import { FunctionWords, STEP, type StepWord, StepWords } from "./step-words.js";

/** What differs from one use of a kernel to another. */
export interface StepVariant {
  /** Arrays without a fixed length that are bound by a part, which need not begin with element 0. */
  readonly based: readonly string[];
  /** Arrays that the kernel only reads, but which lie in a buffer that it writes: they are declared as if it wrote them. */
  readonly writable: readonly string[];
  /** 1: the dispatch has one row of workgroups. */
  readonly dimensions: 1 | 3;
  /** All invocations of its workgroups are the dispatch's: nothing is checked. */
  readonly isWhole: boolean;
  /** It is the whole dispatch, in one call: the first of its workgroups is workgroup 0. */
  readonly isOnly: boolean;
}

/** The uniform with which a step is run. */
export interface StepParameters {
  readonly binding: number;
  readonly bytes: number;
  /** What its words are, from the first on. */
  readonly words: readonly StepWord[];
}

export interface StepModule {
  readonly code: string;
  readonly entryPoint: string;
  readonly bindings: readonly BindingPlace[];
  readonly parameters: StepParameters;
}

const ENTRY_ONLY: ReadonlySet<string> = new Set(["compute", "workgroup_size"]);

const ENTRY = `${RESERVED}entry`;
/** Of an array: the element that its part begins with, as a function has it; and a function that works it out. */
const BASE = `${RESERVED}base_`;
const WORK_OUT_BASE = `${RESERVED}work_out_base_`;

/** Dispatched as workgroups (x, y, 1), where x times y is the number of workgroups of the step. */
export function rewriteStep(description: KernelDescription, variant: StepVariant): StepModule {
  const { names, text, instances } = description.source;
  const inLoops = new Map(instances.map((instance) => [instance, arraysInLoops(names, instance, variant.based)]));
  const worksOut = new Set([...inLoops.values()].flatMap((arrays) => [...arrays]));
  const bindings = placesOf(description, variant.writable);
  const binding = bindings.length;
  const words = new StepWords();
  const functions = [
    ...[...inLoops].map(([instance, arrays]) => functionText(description, variant, words, instance, arrays)),
    ...description.arrays.filter(({ name }) => worksOut.has(name)).map(({ node }) => baseText(names, words, node)),
    entryText(description, variant, words),
  ];
  const code = [
    ...declarationsOf(description, (node) => withPlace(text, node, bindings)),
    INDEX_DECLARATION,
    words.declaration(binding),
    ...functions,
  ].join("\n");
  return { code, entryPoint: ENTRY, bindings, parameters: { binding, bytes: words.bytes, words: words.list } };
}

function functionText(
  description: KernelDescription,
  variant: StepVariant,
  words: StepWords,
  instance: Instance,
  inLoops: ReadonlySet<string>,
): string {
  const { names, text, entry } = description.source;
  const { fn } = instance;
  const ours = fn === entry ? ioAttributes(fn) : null;
  const own = new FunctionWords(words);
  const workedOut = new Set<string>();
  return render(text, fn, (node, renderPart) => {
    if (node === fn.name) return instance.name;
    if (node === fn.body) {
      const body = splice(text, node.start, node.end, childrenOf(node), renderPart);
      const start = body.indexOf("{") + 1;
      const bases = [...workedOut].map((name) => `let ${BASE}${name} = ${WORK_OUT_BASE}${name}();`);
      const added = [...own.declarations, ...bases].map((statement) => ` ${statement}`);
      return body.slice(0, start) + added.join("") + body.slice(start);
    }
    if (node.kind === "attribute" && ours?.has(node) === true) return "";
    if (node.kind === "call-expression") {
      const callee = instance.calls.get(node);
      const reference = calledReference(node);
      if (callee !== undefined) {
        const parts = [...node.arguments];
        return callee.name + splice(text, reference.end, node.end, parts, renderPart);
      }
      const [pointer] = node.arguments;
      if (pointer === undefined || reference.ident.originalName !== "arrayLength" || names.of(reference) !== null)
        return null;
      const root = rootOf(names, instance, pointer);
      if (root?.whole !== true || !variant.based.includes(nameOf(root.variable))) return null;
      return own.use({ of: "length", array: nameOf(root.variable) });
    }
    if (node.kind === "component-expression") {
      const root = rootOf(names, instance, node.base);
      if (root?.whole !== true || !variant.based.includes(nameOf(root.variable))) return null;
      const name = nameOf(root.variable);
      const base = inLoops.has(name) ? `${BASE}${name}` : own.use({ of: "base", array: name });
      if (inLoops.has(name)) workedOut.add(name);
      return `${renderPart(node.base)}[${INDEX}(${renderPart(node.access)}) - ${base}]`;
    }
    if (node.kind === "type" && variant.writable.length > 0)
      return pointerText(names, variant, instance, node, renderPart);
    return null;
  });
}

/**
 * Where elements are used in a loop, the base stands on the length of the part: compilers bound each index by that, too, and have
 * it at hand from there on, where they would work it out in every round. A function of the module, where no parameter hides
 * `arrayLength`.
 */
function baseText(names: Names, words: StepWords, node: GlobalVarElem): string {
  const name = nameOf(node);
  const length = `arrayLength(&${name}${wrapperMember(names, node.name.typeRef)})`;
  const own = new FunctionWords(words);
  const base = `${length} + ${own.use({ of: "baseLessPart", array: name })}`;
  return `fn ${WORK_OUT_BASE}${name}() -> u32 { ${own.declarations.join(" ")} return ${base}; }`;
}

/** Those of `arrays` whose elements an instance uses within a loop of its own. */
function arraysInLoops(names: Names, instance: Instance, arrays: readonly string[]): Set<string> {
  const found = new Set<string>();
  const visit = (node: Node, inLoop: boolean): void => {
    if (inLoop && node.kind === "component-expression") {
      const root = rootOf(names, instance, node.base);
      if (root?.whole === true && arrays.includes(nameOf(root.variable))) found.add(nameOf(root.variable));
    }
    const loops = inLoop || node.kind === "for" || node.kind === "loop" || node.kind === "while";
    for (const child of childrenOf(node)) visit(child, loops);
  };
  visit(instance.fn.body, false);
  return found;
}

/** What leads from a variable to the array that it is, where a structure is around it. */
function wrapperMember(names: Names, type: ExpressionElem | undefined): string {
  const declaration = type?.kind === "type" ? names.of(type.name.refIdentElem)?.declaration : undefined;
  if (declaration?.kind === "alias") return wrapperMember(names, declaration.typeRef);
  return declaration?.kind === "struct" ? `.${declaration.members[0].name.name}` : "";
}

/** Attributes that only an entry point can have. */
function ioAttributes({ attributes = [], params }: FnElem): Set<AttributeElem> {
  const own = attributes.filter(({ attribute }) => attribute.kind === "@attribute" && ENTRY_ONLY.has(attribute.name));
  return new Set([...own, ...params.flatMap((param) => param.attributes ?? [])]);
}

/** The type of a parameter that points into a variable which is now declared as written. */
function pointerText(
  names: Names,
  { writable }: StepVariant,
  { roots }: Instance,
  node: Extract<Node, { kind: "type" }>,
  renderPart: (part: Node) => string,
): string | null {
  for (const [param, { variable }] of roots) {
    if (param.name.typeRef !== node || !writable.includes(nameOf(variable))) continue;
    const [space, type] = declaredPointer(names, node).templateParams ?? [];
    if (space !== undefined && type !== undefined) return `ptr<${renderPart(space)}, ${renderPart(type)}, read_write>`;
  }
  return null;
}

function declaredPointer(names: Names, node: Extract<Node, { kind: "type" }>): Extract<Node, { kind: "type" }> {
  const declaration = names.of(node.name.refIdentElem)?.declaration;
  return declaration?.kind === "alias" ? declaredPointer(names, declaration.typeRef) : node;
}

function entryText(
  { workgroups, source: { entry, text, names } }: KernelDescription,
  { dimensions, based, isWhole, isOnly }: StepVariant,
  words: StepWords,
): string {
  const attributes = (entry.attributes ?? []).map(({ start, end }) => text.slice(start, end));
  const { parameters, values } = entryArguments(names, entry, text);
  const [x, y, z] = workgroups.size.map((count) => `${count}u`);
  const id = (name: string): string => `${RESERVED}${name}`;
  const own = new FunctionWords(words);
  const grid = (axis: 0 | 1 | 2): string => own.use({ of: "workgroups", axis });
  const invocations = (axis: 0 | 1 | 2): string => own.use({ of: "invocations", axis });
  const isFlat = dimensions === 1;
  const isRow = isFlat && workgroups.size[1] === 1 && workgroups.size[2] === 1;
  const linear = `${id("slot")}.x + ${id("slot")}.y * ${id("slots")}.x`;
  const statements = [
    `let ${id("linear")} = ${isOnly ? linear : `${own.use({ of: "first" })} + ${linear}`};`,
    isFlat
      ? `let ${id("workgroup")} = vec3u(${id("linear")}, 0u, 0u);`
      : `let ${id("workgroup")} = vec3u(${id("linear")} % ${grid(0)}, (${id("linear")} / ${grid(0)}) % ${grid(1)}, ${id("linear")} / (${grid(0)} * ${grid(1)}));`,
  ];
  if (values.some((value) => value.includes(id("workgroups"))))
    statements.push(
      `let ${id("workgroups")} = ${isFlat ? `vec3u(${grid(0)}, 1u, 1u)` : `vec3u(${grid(0)}, ${grid(1)}, ${grid(2)})`};`,
    );
  statements.push(
    isRow
      ? `let ${id("invocation")} = vec3u(${id("linear")} * ${x} + ${id("local")}.x, 0u, 0u);`
      : `let ${id("invocation")} = ${id("workgroup")} * vec3u(${x}, ${y}, ${z}) + ${id("local")};`,
  );
  if (!workgroups.whole && !isWhole) {
    const outside = isRow
      ? `${id("invocation")}.x >= ${invocations(0)}`
      : `any(${id("invocation")} >= ${isFlat ? `vec3u(${invocations(0)}, 1u, 1u)` : `vec3u(${invocations(0)}, ${invocations(1)}, ${invocations(2)})`})`;
    statements.push(`if (${outside}) { return; }`);
  }
  statements.push(`${entry.name.ident.originalName}(${values.join(", ")});`);
  // They are bound, whether something is read from them or not.
  const bound = [STEP, ...based].map((name) => `_ = &${name};`);
  return [
    ...attributes,
    `fn ${ENTRY}(${parameters.join(", ")}) {`,
    ...[...bound, ...own.declarations, ...statements].map((statement) => `  ${statement}`),
    "}",
  ].join("\n");
}
