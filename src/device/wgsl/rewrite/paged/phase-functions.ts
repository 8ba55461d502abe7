/**
 * The functions of a kernel as a phase has them: what they do to paged arrays goes through addresses, all else stands as it was
 * written.
 */

import type { KernelDescription } from "../../describe.js";
import {
  calledReference,
  type ExpressionElem,
  type ForElem,
  type FunctionCallExpression,
  type GlobalVarElem,
  type Node,
  type Statement,
  type SyntaxNode,
} from "../../parse.js";
import { errorAt } from "../../error-at.js";
import { nameOfType, type Type } from "../../types.js";
import { isExpression } from "../children.js";
import { addressSpaceOf, forEachNode, type Instance, isPointer, nameOf, rootOf } from "../instances.js";
import { INDEX, RESERVED } from "../names.js";
import { render, splice } from "../render.js";
import { type Accessors, ANY_STOPS, type Lookup, PARAMETERS_NAME, STOPPED, UNNOTED, VIOLATION } from "./accessors.js";
import { type DataFlow, isAtomic, type Site } from "./data-flow.js";
import type { Path, Paths } from "./paths.js";

/** A way to run a kernel's functions. */
export interface Phase {
  readonly name: string;
  readonly lookup: Lookup;
  /** Whether stores are left out, held back until the unit's end, or done. */
  readonly stores: "none" | "held" | "done";
}

/** The stores that are held back, by numbers: phases that hold the same ones share them. */
export class HeldStores {
  readonly #sites = new Map<Site, number>();

  numberOf(site: Site): number {
    let number = this.#sites.get(site);
    if (number === undefined) this.#sites.set(site, (number = this.#sites.size));
    return number;
  }

  declarations(): string[] {
    return [...this.#sites].flatMap(([{ path }, number]) => {
      const [at, value] = heldNames(number);
      return [`var<private> ${at}: u32;`, `var<private> ${value}: ${nameOfType(plain(path.type))};`];
    });
  }

  /** The statement by which none is held. */
  forget(): string {
    return [...this.#sites.values()].map((number) => `${heldNames(number)[0]} = 0u;`).join(" ");
  }

  /** The statements that do them. */
  stores(accessors: Accessors): string[] {
    return [...this.#sites].map(([{ path, atomic, kind }, number]) => {
      const [at, value] = heldNames(number);
      const store =
        atomic === null || kind === "store"
          ? accessors.store(plain(path.type))
          : accessors.atomic(atomic, integerOf(path.type));
      return `if (${at} != 0u) { ${store}(${at}, ${value}); }`;
    });
  }
}

/** Keeps an index within an element: `min`, which a function of the kernel's may have a variable for. */
const WITHIN = `${RESERVED}within`;
export const WITHIN_DECLARATION = `fn ${WITHIN}(index: u32, last: u32) -> u32 { return min(index, last); }`;

type Render = (part: Node) => string;

/** Functions that invocations of a workgroup call together. */
const COLLECTIVE = /^(?:storageBarrier|textureBarrier|workgroupBarrier|workgroupUniformLoad)$/;
/** Why a loop need not go on. */
const STOPS: Readonly<Record<Lookup, string>> = {
  note: STOPPED,
  look: UNNOTED,
  trace: STOPPED,
  check: `${VIOLATION} != 0u`,
};
/** The address in a statement that uses it twice. */
const ADDRESS = `${RESERVED}at`;

export class PhaseFunctions {
  readonly #description: KernelDescription;
  readonly #paths: Paths;
  readonly #flow: DataFlow;
  readonly #accessors: Accessors;
  readonly #held: HeldStores;
  readonly #phase: Phase;
  /** Bodies of loops that may have to end early, and why they do. */
  readonly #guarded = new Map<Node, string>();

  constructor(
    description: KernelDescription,
    paths: Paths,
    flow: DataFlow,
    accessors: Accessors,
    held: HeldStores,
    phase: Phase,
  ) {
    this.#held = held;
    this.#description = description;
    this.#paths = paths;
    this.#flow = flow;
    this.#accessors = accessors;
    this.#phase = phase;
  }

  /** The texts of all functions, the entry point's first. */
  functions(): string[] {
    return this.#description.source.instances.map((instance) => this.#function(instance));
  }

  /** What the phase calls the function of an instance. */
  nameOf(instance: Instance): string {
    const number = this.#description.source.instances.indexOf(instance);
    return `${RESERVED}${this.#phase.name}_${number}_${instance.fn.name.ident.originalName}`;
  }

  /** A private variable, of which each phase has its own. */
  variable(node: GlobalVarElem): string {
    return render(this.#description.source.text, node, (part) =>
      part === node.name.decl ? this.#privateName(node) : part.kind === "ref" ? this.#reference(part) : null,
    );
  }

  #privateName(node: GlobalVarElem): string {
    return `${RESERVED}${this.#phase.name}_${nameOf(node)}`;
  }

  #reference(node: Extract<Node, { kind: "ref" }>): string | null {
    const referent = this.#description.source.names.of(node);
    if (referent?.kind !== "global" || referent.declaration.kind !== "gvar") return null;
    return addressSpaceOf(referent.declaration) === "private" ? this.#privateName(referent.declaration) : null;
  }

  #function(instance: Instance): string {
    const { text, entry } = this.#description.source;
    const { fn } = instance;
    const renderPart: Render = (part) => render(text, part, (node, inner) => this.#replace(instance, node, inner));
    const isPaged = (variable: GlobalVarElem | undefined): boolean =>
      variable !== undefined && this.#paths.arrays.has(variable);
    const params = fn.params
      .filter((param) => !isPaged(instance.roots.get(param)?.variable))
      .map((param) => {
        const { decl, typeRef } = param.name;
        return `${decl.ident.originalName}: ${typeRef === undefined ? "" : renderPart(typeRef)}`;
      });
    const attributes = fn === entry ? [] : textsOf(text, fn.attributes);
    const result =
      fn.returnType === undefined
        ? ""
        : ` -> ${[...textsOf(text, fn.returnAttributes), renderPart(fn.returnType)].join(" ")}`;
    return `${[...attributes, "fn"].join(" ")} ${this.nameOf(instance)}(${params.join(", ")})${result} ${renderPart(fn.body)}`;
  }

  #replace(instance: Instance, node: Node, renderPart: Render): string | null {
    const { kind } = node;
    if (kind === "call-expression") return this.#call(instance, node, renderPart);
    if (isExpression(node)) {
      const path = this.#paths.of(instance, node);
      if (path !== null) return this.#load(instance, node, path, renderPart);
      return node.kind === "ref" ? this.#reference(node) : null;
    }
    if (kind === "call") return this.#callStatement(instance, node.call, renderPart);
    if (kind === "assign") {
      if (node.lhs.kind === "phony") return this.#isPagedPointer(instance, node.rhs) ? "" : null;
      return this.#assign(instance, node.lhs, node.op.value, renderPart(node.rhs), renderPart);
    }
    if (kind === "increment" || kind === "decrement")
      return this.#assign(instance, node.target, kind === "increment" ? "+=" : "-=", "1", renderPart);
    if (kind === "let") return node.init !== undefined && this.#isPagedPointer(instance, node.init) ? "" : null;
    if (kind === "block") {
      const stop = this.#guarded.get(node);
      return stop === undefined ? null : this.#guardedBlock(node, stop, renderPart);
    }
    if (kind === "for" || kind === "while" || kind === "loop") {
      this.#guard(instance, node, node.body);
      const isSplit = kind === "for" && (this.#hasStore(instance, node.init) || this.#hasStore(instance, node.update));
      return isSplit ? this.#loopOf(node, renderPart) : null;
    }
    return null;
  }

  #load(instance: Instance, node: ExpressionElem, path: Path, renderPart: Render): string {
    return `${this.#accessors.load(plain(path.type))}(${this.#address(instance, node, path, renderPart)})`;
  }

  #address(instance: Instance, node: ExpressionElem, path: Path, renderPart: Render): string {
    const site = this.#flow.siteOf(instance, node);
    if (site === null) throw errorAt(this.#description.source.text, node.start, "a place that nobody has seen before");
    const accessor = this.#accessors.address(path.array, {
      lookup: this.#phase.lookup,
      write: site.kind !== "load",
      critical: site.kind !== "store" && this.#flow.isCritical(site),
      dependent: this.#flow.isDependent(site),
      site: this.#flow.sites.indexOf(site),
    });
    const index = path.index === null ? "0u" : `${INDEX}(${renderPart(path.index)})`;
    const inner = path.inner.map(
      ({ node: at, length, words }) => ` + ${WITHIN}(${INDEX}(${renderPart(at)}), ${length - 1}u) * ${words}u`,
    );
    return `${accessor}(${index})${path.words === 0 ? "" : ` + ${path.words}u`}${inner.join("")}`;
  }

  #assign(
    instance: Instance,
    target: ExpressionElem,
    operator: string,
    value: string,
    renderPart: Render,
  ): string | null {
    const path = this.#paths.of(instance, target);
    if (path === null) {
      const isSuppressed = this.#phase.stores === "none" && this.#isBound(instance, target);
      return isSuppressed ? `_ = ${value};` : null;
    }
    const address = this.#address(instance, target, path, renderPart);
    const type = plain(path.type);
    const stored = (at: string): string =>
      operator === "=" ? value : `${this.#accessors.load(type)}(${at}) ${operator.slice(0, -1)} (${value})`;
    if (this.#phase.stores === "none") return `{ _ = ${address}; _ = ${value}; }`;
    if (this.#phase.stores === "held") return this.#hold(this.#flow.siteOf(instance, target), address, stored);
    const store = this.#accessors.store(type);
    if (operator === "=") return `${store}(${address}, ${value});`;
    return `{ let ${ADDRESS} = ${address}; ${store}(${ADDRESS}, ${stored(ADDRESS)}); }`;
  }

  #hold(site: Site | null, address: string, value: (at: string) => string): string {
    if (site === null) return "";
    const [at, held] = heldNames(this.#held.numberOf(site));
    return `{ ${at} = ${address}; ${held} = ${value(at)}; }`;
  }

  #call(instance: Instance, node: FunctionCallExpression, renderPart: Render): string | null {
    const { text } = this.#description.source;
    const callee = instance.calls.get(node);
    const reference = calledReference(node);
    if (callee !== undefined) {
      const isPaged = (argument: ExpressionElem): boolean => this.#isPagedPointer(instance, argument);
      const given = node.arguments.filter((argument) => !isPaged(argument)).map(renderPart);
      return `${this.nameOf(callee)}(${given.join(", ")})`;
    }
    const name = this.#nameOfOwn(node);
    if (name === "arrayLength") {
      const root = rootOf(this.#description.source.names, instance, node.arguments[0]);
      const array = root === null ? undefined : this.#paths.arrays.get(root.variable);
      return array === undefined ? null : `${PARAMETERS_NAME}.length_${array.number}`;
    }
    if (!isAtomic(name)) return null;
    const [pointer, ...rest] = node.arguments;
    const path = this.#paths.of(instance, pointer);
    if (path === null) {
      if (this.#phase.stores !== "none" || name === "atomicLoad" || !this.#isBound(instance, pointer)) return null;
      if (name === "atomicCompareExchangeWeak")
        throw errorAt(text, reference.start, "a buffer of the caller's is exchanged: this kernel cannot be paged");
      return `atomicLoad(${renderPart(pointer)})`;
    }
    const address = this.#address(instance, node, path, renderPart);
    if (name === "atomicLoad") return `${this.#accessors.load(plain(path.type))}(${address})`;
    const type = integerOf(path.type);
    const called =
      this.#phase.stores === "none" ? this.#accessors.peek(name, type) : this.#accessors.atomic(name, type);
    return `${called}(${[address, ...rest.map(renderPart)].join(", ")})`;
  }

  #callStatement(instance: Instance, node: FunctionCallExpression, renderPart: Render): string | null {
    const name = instance.calls.has(node) ? "" : this.#nameOfOwn(node);
    if (!isAtomic(name)) return null;
    const [pointer, value] = node.arguments;
    const path = this.#paths.of(instance, pointer);
    if (path === null) {
      if (this.#phase.stores !== "none" || !this.#isBound(instance, pointer)) return null;
      return value === undefined ? null : `_ = ${renderPart(value)};`;
    }
    if (this.#phase.stores !== "held") return null;
    const address = this.#address(instance, node, path, renderPart);
    return this.#hold(this.#flow.siteOf(instance, node), address, () => renderPart(value));
  }

  #isBound(instance: Instance, node: ExpressionElem): boolean {
    const root = rootOf(this.#description.source.names, instance, node);
    return root !== null && addressSpaceOf(root.variable) === "storage" && !this.#paths.arrays.has(root.variable);
  }

  #isPagedPointer(instance: Instance, node: ExpressionElem): boolean {
    const { names } = this.#description.source;
    if (!isPointer(names, node)) return false;
    const root = rootOf(names, instance, node);
    return root !== null && this.#paths.arrays.has(root.variable);
  }

  /** A loop that runs for as long as loaded numbers say ends when they are not known. */
  #guard(instance: Instance, node: Statement, body: Node): void {
    if (!this.#flow.isDependentLoop(instance, node)) return;
    const stop = STOPS[this.#phase.lookup];
    // Those who wait for each other in it leave it together.
    this.#guarded.set(body, this.#waits(instance, node) ? `${ANY_STOPS}(${stop})` : stop);
  }

  #guardedBlock(node: Extract<Node, { kind: "block" }>, stop: string, renderPart: Render): string {
    const { text } = this.#description.source;
    const open = text.indexOf("{", node.attributes?.at(-1)?.end ?? node.start) + 1;
    const attributes = textsOf(text, node.attributes).map((attribute) => `${attribute} `);
    return `${attributes.join("")}{ if (${stop}) { break; }${splice(text, open, node.end, node.body, renderPart)}`;
  }

  /** Whether invocations wait for each other within it. */
  #waits(instance: Instance, node: Node): boolean {
    let waits = false;
    forEachNode(node, (part) => {
      if (part.kind !== "call-expression") return;
      const callee = instance.calls.get(part);
      waits ||= callee === undefined ? COLLECTIVE.test(this.#nameOfOwn(part)) : this.#waits(callee, callee.fn.body);
    });
    return waits;
  }

  #hasStore(instance: Instance, node: Node | undefined): boolean {
    let has = false;
    if (node !== undefined) {
      forEachNode(node, (part) => {
        if (part.kind === "assign" && part.lhs.kind !== "phony") has ||= this.#paths.of(instance, part.lhs) !== null;
        else if (part.kind === "increment" || part.kind === "decrement")
          has ||= this.#paths.of(instance, part.target) !== null;
      });
    }
    return has;
  }

  /** A for loop whose head has statements that become several. */
  #loopOf(node: ForElem, renderPart: Render): string {
    const init = node.init === undefined ? "" : renderPart(node.init);
    const test = node.condition === undefined ? "" : `if (!(${renderPart(node.condition)})) { break; }`;
    const update = node.update === undefined ? "" : ended(renderPart(node.update));
    return `{ ${init} loop { ${test} ${renderPart(node.body)} continuing { ${update} } } }`;
  }

  /** The name of a function of WGSL's own; empty for the kernel's. */
  #nameOfOwn(node: FunctionCallExpression): string {
    const reference = calledReference(node);
    return this.#description.source.names.of(reference) === null ? reference.ident.originalName : "";
  }
}

function heldNames(number: number): [at: string, value: string] {
  return [`${RESERVED}held_${number}_at`, `${RESERVED}held_${number}`];
}

/** A statement in the head of a loop has no semicolon. */
function ended(statement: string): string {
  return /[;}]\s*$/.test(statement) ? statement : `${statement};`;
}

function textsOf(text: string, nodes: readonly SyntaxNode[] = []): string[] {
  return nodes.map(({ start, end }) => text.slice(start, end));
}

/** The type of what is loaded and stored. */
function plain(type: Type): Type {
  return type.kind === "atomic" ? type.of : type;
}

function integerOf(type: Type): "i32" | "u32" {
  const { kind } = type;
  return kind === "atomic" && type.of.name === "i32" ? "i32" : "u32";
}
