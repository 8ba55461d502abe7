/**
 * What is known of a kernel before any device has it: what it needs, and how its invocations belong together. Whether its
 * text is right otherwise is for the device to say that compiles it.
 */

import { MemoryError } from "../../mm/errors.js";
import type { WorkgroupShape } from "../driver.js";
import { Compilation } from "./compilation.js";
import { entryOf, READER } from "./compile.js";
import { checkStorage, checkUniform, type Constants, Module, workgroupSize } from "./module.js";
import { calledReference, type Declaration, type FnElem, type GlobalVarElem } from "./parse.js";
import { addressSpaceOf, forEachNode, type Instance, instancesOf, nameOf } from "./rewrite/instances.js";
import { Names } from "./rewrite/names.js";
import { type Use, usesOf } from "./rewrite/uses.js";
import { typeOf } from "./type-syntax.js";
import { sizeOf, type Type } from "./types.js";

export interface DescribeRequest {
  readonly text: string;
  /** May be left out where there is only one. */
  readonly entryPoint?: string;
  readonly constants?: Constants;
  /** Storage and uniform variables that are no arrays of the memory, but buffers of the caller's. */
  readonly bindings?: readonly string[];
}

/** A storage variable that is bound to an array. */
export interface ArrayUse {
  readonly name: string;
  /** What one element of the array is. */
  readonly element: Type;
  /** Whether it is declared as an array; else it is one element. */
  readonly indexed: boolean;
  /** Of an array with a fixed length, 1 for what is no array; null for as many as there are. */
  readonly length: number | null;
  readonly read: boolean;
  readonly written: boolean;
  /** Used by atomic functions. */
  readonly atomic: boolean;
  readonly node: GlobalVarElem;
}

export interface UniformVariable {
  readonly name: string;
  readonly type: Type;
  readonly bytes: number;
  readonly node: GlobalVarElem;
}

/** A variable that the caller binds: a texture, a sampler, or a buffer that was named in `bindings`. */
export interface BoundVariable {
  readonly name: string;
  readonly kind: "storage" | "uniform" | "texture" | "sampler";
  readonly node: GlobalVarElem;
}

/** The text as it was parsed, and what its entry point reaches. */
export interface KernelSource {
  readonly text: string;
  readonly declarations: readonly Declaration[];
  readonly names: Names;
  readonly entry: FnElem;
  /** The entry point first. */
  readonly instances: readonly Instance[];
  /** Variables of the module that they use. */
  readonly variables: ReadonlySet<GlobalVarElem>;
}

export interface KernelDescription {
  readonly entryPoint: string;
  readonly constants: Constants;
  readonly workgroups: WorkgroupShape;
  /** Uses operations of subgroups, whose size is the device's. */
  readonly subgroups: boolean;
  /** In the order of the text, like what follows. */
  readonly arrays: readonly ArrayUse[];
  readonly uniforms: readonly UniformVariable[];
  readonly bindings: readonly BoundVariable[];
  readonly source: KernelSource;
}

/** Functions by which the invocations of a workgroup wait for each other or tell each other something. */
const COLLECTIVE = /^(?:storageBarrier|textureBarrier|workgroupBarrier|workgroupUniformLoad|subgroup\w+|quad\w+)$/;
const SUBGROUP = /^(?:subgroup|quad)[A-Z]/;

/**
 * Throws a `KernelError` for what is no WGSL, for arrays that a memory cannot have, and for names of ours; EINVAL when there is
 * no such entry point or no such binding.
 */
export function describe({ text, entryPoint, constants = {}, bindings = [] }: DescribeRequest): KernelDescription {
  const resolver: { module: Module | null } = { module: null };
  const c = new Compilation(
    { text, footprint: {}, purpose: "description" },
    READER,
    (compilation, name) => resolver.module?.resolve(compilation, name) ?? null,
  );
  const module = new Module(c, constants);
  resolver.module = module;
  module.checkAsserts(c);
  const entry = entryOf(module.entryPoints, entryPoint);
  const declarations = module.all;
  const names = new Names(text, declarations);
  const instances = instancesOf(names, entry);
  const uses = new Map<GlobalVarElem, Use>();
  for (const instance of instances) for (const [variable, use] of usesOf(names, instance)) join(uses, variable, use);
  const collective = collectiveFunctions(names, instances);
  const arrays: ArrayUse[] = [];
  const uniforms: UniformVariable[] = [];
  const bound: BoundVariable[] = [];
  for (const node of declarations) {
    const use = node.kind === "gvar" ? uses.get(node) : undefined;
    if (node.kind !== "gvar" || use === undefined) continue;
    const name = nameOf(node);
    const space = addressSpaceOf(node);
    const isBound = bindings.includes(name);
    if (space === "private" || space === "workgroup") continue;
    if (space === "handle") bound.push({ name, kind: isSampler(node) ? "sampler" : "texture", node });
    else if (space !== "storage" && space !== "uniform")
      c.refuse(node, `variable "${name}" is in address space "${space}", which is not supported`);
    else if (isBound) bound.push({ name, kind: space, node });
    else {
      const { typeRef } = node.name;
      const type = c.inScope(null, () =>
        typeRef === undefined ? c.refuse(node, `variable "${name}" needs a type`) : typeOf(c, typeRef),
      );
      if (space === "uniform") {
        checkUniform(c, node, type);
        uniforms.push({ name, type, bytes: sizeOf(type), node });
        continue;
      }
      const element = checkStorage(c, node, type, node.template?.[1]?.name ?? "read");
      const indexed = type.kind === "array";
      arrays.push({ name, element, indexed, length: indexed ? type.length : 1, ...use, node });
    }
  }
  for (const name of bindings) {
    if (!bound.some((variable) => variable.name === name))
      throw new MemoryError("EINVAL", `binding "${name}" is no storage or uniform variable that the kernel uses`);
  }
  const size = workgroupSize(c, entry);
  return {
    entryPoint: entry.name.ident.originalName,
    constants,
    workgroups: { size, whole: collective.length > 0 || [...uses.keys()].some(isOfWorkgroup) },
    subgroups: collective.some((name) => SUBGROUP.test(name)),
    arrays,
    uniforms,
    bindings: bound,
    source: { text, declarations, names, entry, instances, variables: new Set(uses.keys()) },
  };
}

function join(uses: Map<GlobalVarElem, Use>, variable: GlobalVarElem, { read, written, atomic }: Use): void {
  const known = uses.get(variable);
  if (known === undefined) uses.set(variable, { read, written, atomic });
  else {
    known.read ||= read;
    known.written ||= written;
    known.atomic ||= atomic;
  }
}

function collectiveFunctions(names: Names, instances: readonly Instance[]): string[] {
  const found = new Set<string>();
  for (const { fn } of instances) {
    forEachNode(fn, (node) => {
      if (node.kind !== "call-expression") return;
      const reference = calledReference(node);
      const { originalName } = reference.ident;
      if (COLLECTIVE.test(originalName) && names.of(reference) === null) found.add(originalName);
    });
  }
  return [...found];
}

function isOfWorkgroup(variable: GlobalVarElem): boolean {
  return addressSpaceOf(variable) === "workgroup";
}

function isSampler({ name: { typeRef } }: GlobalVarElem): boolean {
  return typeRef?.name.originalName.startsWith("sampler") === true;
}
