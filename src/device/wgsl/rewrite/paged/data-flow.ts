/**
 * How values flow through a kernel, as far as paging has to know: which accesses' addresses depend on what was loaded, and
 * on what the kernel itself stores. Units first only touch their pages, and store nothing meanwhile; so an address must not
 * depend on what the unit has stored before, nor on what an atomic function has given back.
 *
 * The order of statements counts for what is stored before what; all else is by variable, and may find more than there is.
 */

import type { KernelDescription } from "../../describe.js";
import { errorAt } from "../../error-at.js";
import {
  calledReference,
  type ExpressionElem,
  type FnParamElem,
  type FunctionCallExpression,
  type GlobalVarElem,
  type Node,
  type Statement,
  type SyntaxNode,
} from "../../parse.js";
import { childrenOf, isExpression } from "../children.js";
import { addressSpaceOf, forEachNode, type Instance, isPointer, nameOf, rootOf } from "../instances.js";
import type { LocalDeclaration } from "../names.js";
import { FlowGraph } from "./flow-graph.js";
import type { Path, Paths } from "./paths.js";

export type SiteKind = "load" | "store" | "update" | "atomic";

/** A place in the text, in an instance, where a paged array is used. */
export interface Site {
  readonly instance: Instance;
  readonly node: ExpressionElem;
  readonly path: Path;
  readonly kind: SiteKind;
  /** The atomic function; null for plain loads and stores. */
  readonly atomic: string | null;
  /** It may be used several times by one unit. */
  readonly repeated: boolean;
  /** What an atomic function has given back goes nowhere. */
  readonly unused: boolean;
  /** What is loaded, which word it is, and whether it is used at all, in the graph. */
  readonly value: number;
  readonly address: number;
  readonly executed: number;
}

/** Where control goes: nodes by which it is decided whether a statement runs. */
type Controls = readonly number[];

/** Under which nodes a statement may leave its function or its loop. */
interface Exits {
  readonly returns: Controls;
  readonly breaks: Controls;
}

const NOWHERE: Exits = { returns: [], breaks: [] };

interface Frame {
  readonly instance: Instance;
  readonly repeated: boolean;
}

export class DataFlow {
  readonly sites: Site[] = [];
  /** Whether some store reaches what the caller has bound. */
  storesToBindings = false;
  readonly #description: KernelDescription;
  readonly #paths: Paths;
  readonly #graph = new FlowGraph();
  readonly #variables = new Map<Instance | null, Map<object, number>>();
  readonly #results = new Map<Instance, number>();
  readonly #entries = new Map<Instance, number>();
  readonly #loops = new Map<Instance | null, Map<Statement, number>>();
  readonly #bySite = new Map<Instance, Map<object, Site>>();
  /** Arrays that an instance stores to, by itself or by what it calls. */
  readonly #stores = new Map<Instance, ReadonlySet<GlobalVarElem>>();
  /** How often instances are called: several times counts as two. */
  readonly #calls = new Map<Instance, number>();
  readonly #loads: number[] = [];
  readonly #updates: number[] = [];
  /** Loads of what the same unit may have stored before. */
  readonly #own: number[] = [];
  readonly #sinks: number[] = [];
  #critical: ReadonlySet<number> = new Set();
  #dependent: ReadonlySet<number> = new Set();
  /** Arrays that the unit may have stored to so far. */
  #stored = new Set<GlobalVarElem>();
  readonly #storedBefore = new Map<Instance, Set<GlobalVarElem>>();

  /** Throws a `KernelError` for what cannot be paged. */
  constructor(description: KernelDescription, paths: Paths) {
    this.#description = description;
    this.#paths = paths;
    const { instances } = description.source;
    this.#countCalls(instances);
    // Callees come after a caller of theirs, but perhaps before another.
    for (let i = instances.length; i-- > 0;) this.#findStores(instances[i], new Set());
    for (const instance of inCallOrder(instances)) this.#walkInstance(instance);
    this.#refuseOwnStores();
    this.#critical = this.#graph.leadingTo(this.#sinks);
    this.#dependent = this.#graph.reachedFrom(this.#loads);
  }

  siteOf(instance: Instance, node: Node): Site | null {
    return this.#bySite.get(instance)?.get(node) ?? null;
  }

  /** Whether addresses, or what is done at all, depend on what is loaded here. */
  isCritical({ value }: Site): boolean {
    return this.#critical.has(value);
  }

  /** Whether the address, or that it is used at all, depends on what was loaded. */
  isDependent({ address, executed }: Site): boolean {
    return this.#dependent.has(address) || this.#dependent.has(executed);
  }

  /** Whether what was loaded decides how often a loop runs. */
  isDependentLoop(instance: Instance, node: Statement): boolean {
    const control = this.#loops.get(instance)?.get(node);
    return control !== undefined && this.#dependent.has(control);
  }

  /**
   * Whether a unit's stores can be held back until its end: each site stores once at most, nothing is loaded that was stored, and
   * nobody asks what an atomic function has given back.
   */
  get storesCanWait(): boolean {
    if (this.storesToBindings || this.#own.length > 0) return false;
    return this.sites.every(
      ({ kind, repeated, unused }) => kind === "load" || (!repeated && (kind !== "atomic" || unused)),
    );
  }

  /** Whether a unit uses each site once at most. */
  get isStraight(): boolean {
    return this.sites.every(({ repeated }) => !repeated);
  }

  #countCalls(instances: readonly Instance[]): void {
    this.#calls.set(instances[0], 1);
    for (const instance of inCallOrder(instances)) {
      const often = this.#calls.get(instance) ?? 0;
      forEachCall(instance, (callee, isRepeated) => {
        this.#calls.set(callee, Math.min(2, (this.#calls.get(callee) ?? 0) + (isRepeated ? 2 : often)));
      });
    }
  }

  #findStores(instance: Instance, within: Set<Instance>): ReadonlySet<GlobalVarElem> {
    const known = this.#stores.get(instance);
    if (known !== undefined || within.has(instance)) return known ?? new Set();
    within.add(instance);
    const found = this.#storesIn(instance, instance.fn.body, within);
    this.#stores.set(instance, found);
    return found;
  }

  #storesIn(instance: Instance, node: Node, within: Set<Instance>): Set<GlobalVarElem> {
    const found = new Set<GlobalVarElem>();
    const note = (place: ExpressionElem): void => {
      const root = rootOf(this.#description.source.names, instance, place);
      if (root !== null && addressSpaceOf(root.variable) === "storage") found.add(root.variable);
    };
    forEachNode(node, (part) => {
      if (part.kind === "assign" && part.lhs.kind !== "phony") note(part.lhs);
      else if (part.kind === "increment" || part.kind === "decrement") note(part.target);
      else if (part.kind === "call-expression") {
        const callee = instance.calls.get(part);
        if (callee !== undefined) for (const variable of this.#findStores(callee, within)) found.add(variable);
        else if (isAtomic(this.#nameOfOwn(part)) && this.#nameOfOwn(part) !== "atomicLoad") note(part.arguments[0]);
      }
    });
    return found;
  }

  #walkInstance(instance: Instance): void {
    this.#stored = new Set(this.#storedBefore.get(instance));
    const frame: Frame = { instance, repeated: (this.#calls.get(instance) ?? 0) > 1 };
    this.#block(frame, instance.fn.body.body, [this.#entry(instance)]);
  }

  #variable(instance: Instance | null, declaration: object): number {
    return this.#nodeOf(this.#variables, instance, declaration);
  }

  #nodeOf<Key>(nodes: Map<Instance | null, Map<Key, number>>, instance: Instance | null, key: Key): number {
    let own = nodes.get(instance);
    if (own === undefined) nodes.set(instance, (own = new Map<Key, number>()));
    let node = own.get(key);
    if (node === undefined) own.set(key, (node = this.#graph.node()));
    return node;
  }

  #entry(instance: Instance): number {
    let node = this.#entries.get(instance);
    if (node === undefined) this.#entries.set(instance, (node = this.#graph.node()));
    return node;
  }

  #result(instance: Instance): number {
    let node = this.#results.get(instance);
    if (node === undefined) this.#results.set(instance, (node = this.#graph.node()));
    return node;
  }

  /** Statements one after another: what may leave decides over all that follow. */
  #block(frame: Frame, body: readonly Statement[], controls: Controls): Exits {
    let now = controls;
    let exits = NOWHERE;
    for (const statement of body) {
      const left = this.#statement(frame, statement, now);
      if (left === NOWHERE) continue;
      exits = joined(exits, left);
      now = [...new Set([...now, ...left.returns, ...left.breaks])];
    }
    return exits;
  }

  #statement(frame: Frame, node: Statement, controls: Controls): Exits {
    switch (node.kind) {
      case "assert":
      case "const":
      case "discard":
      case "empty":
        return NOWHERE;
      case "let":
        if (node.init !== undefined && isPointer(this.#description.source.names, node.init)) this.#pointer(frame, node);
        else this.#declare(frame, node, node.init, controls);
        return NOWHERE;
      case "var":
        this.#declare(frame, node, node.init, controls);
        return NOWHERE;
      case "assign":
        this.#assign(frame, node, node.lhs, node.rhs, node.op.value !== "=", controls);
        return NOWHERE;
      case "increment":
      case "decrement":
        this.#assign(frame, node, node.target, null, true, controls);
        return NOWHERE;
      case "call":
        this.#call(frame, node.call, controls, true);
        return NOWHERE;
      case "block":
        return this.#block(frame, node.body, controls);
      case "if": {
        const inner = [...controls, this.#control(this.#value(frame, node.condition, controls), controls)];
        const before = new Set(this.#stored);
        const exits = this.#block(frame, node.body.body, inner);
        if (node.else === undefined) return exits;
        const after = this.#stored;
        this.#stored = before;
        const other = this.#statement(frame, node.else, inner);
        for (const variable of after) this.#stored.add(variable);
        return joined(exits, other);
      }
      case "switch": {
        const inner = [...controls, this.#control(this.#value(frame, node.selector, controls), controls)];
        let exits = NOWHERE;
        for (const { body } of node.clauses) exits = joined(exits, this.#block(frame, body.body, inner));
        return exits;
      }
      case "for": {
        if (node.init !== undefined) this.#statement(frame, node.init, controls);
        return this.#loop(frame, node, controls, (inner, loop) => {
          if (node.condition !== undefined)
            this.#graph.connectAll(this.#value(loop, node.condition, inner), inner[inner.length - 1]);
          const exits = this.#block(loop, node.body.body, inner);
          if (node.update !== undefined) this.#statement(loop, node.update, inner);
          return exits;
        });
      }
      case "while":
        return this.#loop(frame, node, controls, (inner, loop) => {
          this.#graph.connectAll(this.#value(loop, node.condition, inner), inner[inner.length - 1]);
          return this.#block(loop, node.body.body, inner);
        });
      case "loop":
        return this.#loop(frame, node, controls, (inner, loop) => this.#block(loop, node.body.body, inner));
      case "continuing":
        return this.#block(frame, node.body.body, controls);
      case "return":
        if (node.value !== undefined) {
          const result = this.#result(frame.instance);
          this.#graph.connectAll(this.#value(frame, node.value, controls), result);
          this.#graph.connectAll(controls, result);
        }
        return { returns: controls, breaks: [] };
      case "break": {
        if (node.condition === undefined) return { returns: [], breaks: controls };
        const control = this.#control(this.#value(frame, node.condition, controls), controls);
        return { returns: [], breaks: [...controls, control] };
      }
      case "continue":
        return { returns: [], breaks: controls };
    }
  }

  #loop(frame: Frame, node: Statement, controls: Controls, body: (inner: Controls, frame: Frame) => Exits): Exits {
    const { instance } = frame;
    const control = this.#nodeOf(this.#loops, instance, node);
    this.#graph.connectAll(controls, control);
    // A loop that never ends would be worse than a page too many.
    this.#sinks.push(control);
    for (const variable of this.#storesIn(instance, node, new Set())) this.#stored.add(variable);
    const { returns, breaks } = body([...controls, control], { ...frame, repeated: true });
    for (const exit of [...returns, ...breaks]) if (exit !== control) this.#graph.connect(exit, control);
    return returns.length === 0 ? NOWHERE : { returns, breaks: [] };
  }

  #control(inputs: Iterable<number>, controls: Controls): number {
    const control = this.#graph.node();
    this.#graph.connectAll(inputs, control);
    this.#graph.connectAll(controls, control);
    return control;
  }

  #declare(frame: Frame, node: LocalDeclaration, init: ExpressionElem | undefined, controls: Controls): void {
    if (init === undefined) return;
    const variable = this.#variable(frame.instance, node);
    this.#graph.connectAll(this.#value(frame, init, controls), variable);
    this.#graph.connectAll(controls, variable);
  }

  /** A name for a pointer is one for what it points to. */
  #pointer({ instance }: Frame, node: Extract<Statement, { kind: "let" }>): void {
    const { names } = this.#description.source;
    const { init } = node;
    if (init === undefined) return;
    const root = rootOf(names, instance, init);
    if (root !== null && addressSpaceOf(root.variable) === "storage") {
      if (!root.whole) this.#refuse(init, ELEMENT_POINTER);
      return;
    }
    const target = this.#target(instance, init);
    if (target !== null) this.#alias(target, this.#variable(instance, node));
  }

  #alias(a: number, b: number): void {
    this.#graph.connect(a, b);
    this.#graph.connect(b, a);
  }

  /** The variable that is meant by a place which is in no storage; null for none. */
  #target(instance: Instance, node: ExpressionElem): number | null {
    const { names } = this.#description.source;
    switch (node.kind) {
      case "ref": {
        const referent = names.of(node);
        if (referent === null) return null;
        if (referent.kind === "local") return this.#variable(instance, referent.declaration);
        return referent.declaration.kind === "gvar" ? this.#variable(null, referent.declaration) : null;
      }
      case "parenthesized-expression":
      case "unary-expression":
        return this.#target(instance, node.expression);
      case "component-expression":
      case "component-member-expression":
        return this.#target(instance, node.base);
      case "binary-expression":
      case "call-expression":
      case "literal":
      case "type":
        return null;
    }
  }

  #assign(
    frame: Frame,
    node: SyntaxNode,
    target: Extract<Statement, { kind: "assign" }>["lhs"],
    value: ExpressionElem | null,
    isUpdate: boolean,
    controls: Controls,
  ): void {
    const { instance } = frame;
    // That an array is named makes it one of the kernel's bindings, and uses nothing of it.
    if (target.kind === "phony" && value !== null && this.#isWholeArray(instance, value)) return;
    const inputs = value === null ? [] : this.#value(frame, value, controls);
    if (target.kind === "phony") return;
    const path = this.#paths.of(instance, target);
    if (path !== null) {
      const site = this.#site(frame, target, path, isUpdate ? "update" : "store", null, false, controls);
      if (isUpdate) this.#noteLoad(site);
      this.#stored.add(path.array.use.node);
      return;
    }
    const root = rootOf(this.#description.source.names, instance, target);
    if (root !== null && addressSpaceOf(root.variable) === "storage") {
      if (this.#paths.arrays.has(root.variable)) this.#refuse(node, WHOLE_ARRAY);
      this.storesToBindings = true;
    }
    this.#indices(frame, target, controls, inputs);
    const variable = this.#target(instance, target);
    if (variable === null) return;
    this.#graph.connectAll(inputs, variable);
    this.#graph.connectAll(controls, variable);
  }

  /** What is worked out to find a place that is not paged. */
  #indices(frame: Frame, node: ExpressionElem, controls: Controls, inputs: number[]): void {
    if (node.kind === "component-expression") {
      inputs.push(...this.#value(frame, node.access, controls));
      this.#indices(frame, node.base, controls, inputs);
    } else if (node.kind === "component-member-expression") this.#indices(frame, node.base, controls, inputs);
    else if (node.kind === "parenthesized-expression" || node.kind === "unary-expression")
      this.#indices(frame, node.expression, controls, inputs);
  }

  #site(
    frame: Frame,
    node: ExpressionElem,
    path: Path,
    kind: SiteKind,
    atomic: string | null,
    unused: boolean,
    controls: Controls,
  ): Site {
    const { instance, repeated } = frame;
    const address = this.#graph.node();
    const value = this.#graph.node();
    const executed = this.#graph.node();
    for (const index of [path.index, ...path.inner.map((inner) => inner.node)])
      if (index !== null) this.#graph.connectAll(this.#value(frame, index, controls), address);
    this.#graph.connect(address, value);
    this.#graph.connectAll(controls, executed);
    this.#sinks.push(address, executed);
    const site: Site = { instance, node, path, kind, atomic, repeated, unused, value, address, executed };
    this.sites.push(site);
    let own = this.#bySite.get(instance);
    if (own === undefined) this.#bySite.set(instance, (own = new Map<object, Site>()));
    own.set(node, site);
    return site;
  }

  #noteLoad({ value, path }: Site): void {
    this.#loads.push(value);
    if (this.#stored.has(path.array.use.node)) this.#own.push(value);
  }

  /** What an expression is worked out from. */
  #value(frame: Frame, node: Node, controls: Controls): number[] {
    const { names } = this.#description.source;
    const { instance } = frame;
    if (isExpression(node)) {
      const path = this.#paths.of(instance, node);
      if (path !== null) {
        const site = this.#site(frame, node, path, "load", null, false, controls);
        this.#noteLoad(site);
        return [site.value];
      }
      const root = rootOf(names, instance, node);
      if (root !== null && this.#paths.arrays.has(root.variable) && root.whole) this.#refuse(node, WHOLE_ARRAY);
    }
    if (node.kind === "call-expression") return this.#call(frame, node, controls, false);
    if (node.kind === "ref") return this.#reference(frame, node);
    if (node.kind === "component-member-expression" && node.access.name === "exchanged" && this.#isExchange(node.base))
      return this.#value(frame, node.base, controls).slice(0, 0);
    if (node.kind === "unary-expression" && node.operator.value === "&") {
      const root = rootOf(names, instance, node.expression);
      if (root !== null && this.#paths.arrays.has(root.variable)) this.#refuse(node, ELEMENT_POINTER);
    }
    return childrenOf(node).flatMap((part) => this.#value(frame, part, controls));
  }

  #reference({ instance }: Frame, node: Extract<ExpressionElem, { kind: "ref" }>): number[] {
    const target = this.#target(instance, node);
    if (target === null) return [];
    const root = rootOf(this.#description.source.names, instance, node);
    // Of what the caller has bound it is not known what is stored before what.
    if (root !== null && this.#stores.get(this.#description.source.instances[0])?.has(root.variable) === true)
      this.#own.push(target);
    return [target];
  }

  /** Whether it is what a compare and exchange has given back: whether it has exchanged may decide when to try again. */
  #isExchange(node: ExpressionElem): boolean {
    if (node.kind === "parenthesized-expression") return this.#isExchange(node.expression);
    if (node.kind === "call-expression") return this.#nameOfOwn(node) === EXCHANGE;
    if (node.kind !== "ref") return false;
    const declaration = this.#description.source.names.of(node)?.declaration;
    if (declaration?.kind !== "let" && declaration?.kind !== "var") return false;
    return declaration.init !== undefined && this.#isExchange(declaration.init);
  }

  #call(frame: Frame, node: FunctionCallExpression, controls: Controls, unused: boolean): number[] {
    const callee = frame.instance.calls.get(node);
    if (callee !== undefined) return this.#callInstance(frame, node, callee, controls);
    const name = this.#nameOfOwn(node);
    if (name === "arrayLength") return [];
    if (isAtomic(name)) return this.#atomic(frame, node, name, controls, unused);
    if (name === "textureStore") this.#refuse(node, "textureStore cannot be held back until all pages are there");
    return node.arguments.flatMap((argument) => this.#argument(frame, argument, controls));
  }

  #argument(frame: Frame, node: ExpressionElem, controls: Controls): number[] {
    if (!isPointer(this.#description.source.names, node)) return this.#value(frame, node, controls);
    const inputs: number[] = [];
    this.#indices(frame, node, controls, inputs);
    const target = this.#target(frame.instance, node);
    return target === null ? inputs : [...inputs, target];
  }

  #atomic(frame: Frame, node: FunctionCallExpression, name: string, controls: Controls, unused: boolean): number[] {
    const [pointer, ...rest] = node.arguments;
    const { instance } = frame;
    const path = this.#paths.of(instance, pointer);
    const root = rootOf(this.#description.source.names, instance, pointer);
    const isStorage = root !== null && addressSpaceOf(root.variable) === "storage";
    if (path === null && isStorage && this.#paths.arrays.has(root.variable)) this.#refuse(node, WHOLE_ARRAY);
    const kind = name === "atomicLoad" ? "load" : name === "atomicStore" ? "store" : "atomic";
    const inputs = rest.flatMap((argument) => this.#value(frame, argument, controls));
    if (path === null) {
      this.#indices(frame, pointer, controls, inputs);
      const target = this.#target(instance, pointer);
      if (target === null) return inputs;
      if (isStorage && kind !== "load") this.storesToBindings = true;
      this.#graph.connectAll(inputs, target);
      this.#graph.connectAll(controls, target);
      if (!isStorage || kind === "load") return [target];
      const result = this.#graph.node();
      this.#updates.push(result);
      return [result, target];
    }
    const site = this.#site(frame, node, path, kind, name, unused, controls);
    if (kind === "load") this.#noteLoad(site);
    else {
      if (kind === "atomic") {
        this.#updates.push(site.value);
        this.#loads.push(site.value);
      }
      this.#stored.add(path.array.use.node);
    }
    return [site.value];
  }

  #callInstance(frame: Frame, node: FunctionCallExpression, callee: Instance, controls: Controls): number[] {
    const { instance } = frame;
    const { names } = this.#description.source;
    this.#graph.connectAll(controls, this.#entry(callee));
    callee.fn.params.forEach((param: FnParamElem, i) => {
      const argument = node.arguments[i];
      const parameter = this.#variable(callee, param);
      if (!isPointer(names, argument)) {
        this.#graph.connectAll(this.#value(frame, argument, controls), parameter);
        return;
      }
      const root = rootOf(names, instance, argument);
      if (root !== null && this.#paths.arrays.has(root.variable)) {
        if (!root.whole) this.#refuse(argument, ELEMENT_POINTER);
        return;
      }
      const inputs: number[] = [];
      this.#indices(frame, argument, controls, inputs);
      const target = this.#target(instance, argument);
      if (target !== null) this.#alias(target, parameter);
      this.#graph.connectAll(inputs, parameter);
    });
    let before = this.#storedBefore.get(callee);
    if (before === undefined) this.#storedBefore.set(callee, (before = new Set()));
    for (const variable of this.#stored) before.add(variable);
    for (const variable of this.#stores.get(callee) ?? []) this.#stored.add(variable);
    return [this.#result(callee)];
  }

  #refuseOwnStores(): void {
    const byUpdates = this.#graph.reachedFrom(this.#updates);
    const byStores = this.#graph.reachedFrom(this.#own);
    for (const loops of this.#loops.values()) {
      for (const [node, control] of loops) {
        // While pages are touched nothing is stored: such a loop might not end.
        if (byUpdates.has(control))
          this.#refuse(node, "how often this loop runs depends on what an atomic function has given back");
        if (byStores.has(control))
          this.#refuse(node, "how often this loop runs depends on what the kernel has stored itself");
      }
    }
    for (const { node, address, executed, path } of this.sites) {
      const what = `"${nameOf(path.array.use.node)}"`;
      if (byUpdates.has(address))
        this.#refuse(node, `which element of ${what} is used depends on what an atomic function has given back`);
      if (byUpdates.has(executed))
        this.#refuse(node, `whether ${what} is used here depends on what an atomic function has given back`);
      if (byStores.has(address))
        this.#refuse(node, `which element of ${what} is used depends on what the kernel has stored itself`);
    }
  }

  /** The name of a function of WGSL's own; empty for the kernel's. */
  #isWholeArray(instance: Instance, node: ExpressionElem): boolean {
    const { names } = this.#description.source;
    const root = isPointer(names, node) ? rootOf(names, instance, node) : null;
    if (root === null || !this.#paths.arrays.has(root.variable)) return false;
    return root.whole || this.#refuse(node, ELEMENT_POINTER);
  }

  #nameOfOwn(node: FunctionCallExpression): string {
    const reference = calledReference(node);
    return this.#description.source.names.of(reference) === null ? reference.ident.originalName : "";
  }

  #refuse(node: SyntaxNode, reason: string): never {
    throw errorAt(this.#description.source.text, node.start, `${reason}: this kernel cannot be paged`);
  }
}

const EXCHANGE = "atomicCompareExchangeWeak";
const ELEMENT_POINTER = "a pointer to an element of an array, which may be on no page of the device";
const WHOLE_ARRAY = "an array is used as a whole";

export function isAtomic(name: string): boolean {
  return name.startsWith("atomic");
}

function joined(a: Exits, b: Exits): Exits {
  if (a === NOWHERE || b === NOWHERE) return a === NOWHERE ? b : a;
  return { returns: [...a.returns, ...b.returns], breaks: [...a.breaks, ...b.breaks] };
}

/** Each after all that call it: nothing recurses in WGSL. */
function inCallOrder(instances: readonly Instance[]): Instance[] {
  const order: Instance[] = [];
  const visited = new Set<Instance>();
  const visit = (instance: Instance): void => {
    if (visited.has(instance)) return;
    visited.add(instance);
    for (const callee of instance.calls.values()) visit(callee);
    order.unshift(instance);
  };
  visit(instances[0]);
  return order;
}

function forEachCall(instance: Instance, found: (callee: Instance, isRepeated: boolean) => void): void {
  const visit = (node: Node, isRepeated: boolean): void => {
    const isLoop = node.kind === "for" || node.kind === "while" || node.kind === "loop";
    if (node.kind === "call-expression") {
      const callee = instance.calls.get(node);
      if (callee !== undefined) found(callee, isRepeated);
    }
    for (const child of childrenOf(node)) visit(child, isRepeated || isLoop);
  };
  visit(instance.fn.body, false);
}
