/**
 * From a kernel to a module that runs it over pages: plain WGSL, in which every access to an array looks up where its page is.
 *
 * A *unit*, which is an invocation, or a workgroup where invocations wait for each other, first touches what it will use:
 * where a page is missed it has no effect, and says so. Else it commits.
 *
 * Where units are single invocations, that is one entry point. The first to use a page in a round notes it; for all others a
 * look without branches does, and its outcome is that of the unit: what is stored is held back until the end (`QUICK`, else
 * `ONCE`). Where stores cannot be held back, the kernel's function runs again to commit (`LOOK`, else `TOUCH`; `COMMIT`).
 * Without loops the pages that were used fit variables, and need no second run to be noted (`TRACE`). Workgroups have two
 * entry points, for what they share begins anew.
 */

import type { KernelDescription } from "../../describe.js";
import { errorAt } from "../../error-at.js";
import { calledReference, type GlobalVarElem } from "../../parse.js";
import { hasAtomic } from "../../types.js";
import { entryArguments } from "../entry-arguments.js";
import { addressSpaceOf, forEachNode } from "../instances.js";
import { type BindingPlace, declarationsOf, placesOf, withPlace } from "../module-text.js";
import { INDEX_DECLARATION, RESERVED } from "../names.js";
import {
  Accessors,
  ANY_STOPS,
  LANE,
  type MemoryShape,
  MISSED,
  PARAMETERS_NAME,
  reportViolation,
  STATE_NAME,
  STOPPED,
  TABLES_NAME,
  traced,
  UNNOTED,
  VIOLATION,
} from "./accessors.js";
import { ARRAYS, ARRAY_WORDS, COUNTERS, FIRST_POOL_BINDING, LANES, PARAMETERS, parameterBytes } from "./contract.js";
import { DataFlow } from "./data-flow.js";
import { Paths } from "./paths.js";
import { HeldStores, type Phase, PhaseFunctions, WITHIN_DECLARATION } from "./phase-functions.js";

const QUICK: Phase = { name: "quick", lookup: "look", stores: "held" };
const ONCE: Phase = { name: "once", lookup: "note", stores: "held" };
const TRACE: Phase = { name: "trace", lookup: "trace", stores: "held" };
const LOOK: Phase = { name: "look", lookup: "look", stores: "none" };
const TOUCH: Phase = { name: "touch", lookup: "note", stores: "none" };
const COMMIT: Phase = { name: "commit", lookup: "check", stores: "done" };

/** Sites whose pages are kept in variables at most. */
const MOST_TRACED = 12;

/** What differs from one device or dispatch to another. */
export interface PagedVariant extends Omit<MemoryShape, "atomic"> {
  /** 1: units have the numbers of their only row. */
  readonly dimensions: 1 | 3;
}

export interface PagedModule {
  readonly code: string;
  /** Dispatched one after another, each as workgroups (x, y, 1). */
  readonly entryPoints: readonly string[];
  /** Units of a workgroup. */
  readonly unitsPerWorkgroup: number;
  readonly pools: readonly number[];
  readonly tables: number;
  readonly state: number;
  readonly parameters: { readonly binding: number; readonly bytes: number };
  /** The kernel's uniforms, and what the caller binds. */
  readonly bindings: readonly BindingPlace[];
  /** Names of the arrays, by their numbers. */
  readonly arrays: readonly string[];
}

/** A kernel that can be paged. */
export class PagedKernelText {
  readonly #description: KernelDescription;
  readonly #paths: Paths;
  readonly #flow: DataFlow;

  /** Throws a `KernelError` for a kernel that cannot be paged. */
  constructor(description: KernelDescription) {
    refuseSubgroups(description);
    this.#description = description;
    this.#paths = new Paths(description);
    this.#flow = new DataFlow(description, this.#paths);
  }

  /** Whether what a unit stores is held back; else its function runs twice. */
  get holdsStores(): boolean {
    return !this.#description.workgroups.whole && this.#flow.storesCanWait;
  }

  get #phases(): readonly Phase[] {
    if (this.#description.workgroups.whole) return [TOUCH, COMMIT];
    if (!this.holdsStores) return [LOOK, TOUCH, COMMIT];
    return this.#flow.isStraight && this.#flow.sites.length <= MOST_TRACED ? [TRACE] : [QUICK, ONCE];
  }

  write(variant: PagedVariant): PagedModule {
    const description = this.#description;
    const { arrays, source, workgroups } = description;
    const atomic = arrays.some(({ element }) => hasAtomic(element));
    const accessors = new Accessors({ ...variant, atomic });
    const held = new HeldStores();
    const ways = this.#phases;
    const phases = ways.map(
      (phase) => new PhaseFunctions(description, this.#paths, this.#flow, accessors, held, phase),
    );
    const pools = Array.from({ length: variant.pools }, (_, pool) => FIRST_POOL_BINDING + pool);
    const tables = FIRST_POOL_BINDING + variant.pools;
    const [state, parameters] = [tables + 1, tables + 2];
    const bindings = placesOf({ ...description, arrays: [] }, []).map((place) => ({
      ...place,
      binding: place.binding + parameters + 1,
    }));
    const variable = (node: GlobalVarElem): string =>
      addressSpaceOf(node) === "private"
        ? phases.map((phase) => phase.variable(node)).join("\n")
        : withPlace(source.text, node, bindings);
    const functions = phases.flatMap((phase) => phase.functions());
    const entries = workgroups.whole
      ? this.#workgroupEntries(variant, phases)
      : this.#laneEntry(variant, phases, held, accessors);
    const word = atomic ? "atomic<u32>" : "u32";
    const code = [
      ...declarationsOf(description, variable),
      // Not of fixed lengths, although they have some: WebKit takes none above 65,535 elements.
      ...pools.map((binding) => declared(binding, "storage, read_write", `pool_${binding}`, `array<${word}>`)),
      declared(tables, "storage, read", "tables", "array<u32>"),
      declared(state, "storage, read_write", "state", "array<atomic<u32>>"),
      parametersText(arrays.length),
      declared(parameters, "uniform", "parameters", `${PARAMETERS_NAME}_words`),
      INDEX_DECLARATION,
      WITHIN_DECLARATION,
      `var<private> ${MISSED}: bool;`,
      `var<private> ${UNNOTED}: bool;`,
      `var<private> ${STOPPED}: bool;`,
      `var<private> ${VIOLATION}: u32;`,
      ...(ways.includes(TRACE) ? this.#flow.sites.map((_, site) => `var<private> ${traced(site)}: u32;`) : []),
      ...held.declarations(),
      ...(workgroups.whole ? [anyStopsText()] : []),
      ...functions,
      ...entries.map(({ text }) => text),
      accessors.text,
    ].join("\n");
    return {
      code,
      entryPoints: entries.map(({ name }) => name),
      unitsPerWorkgroup: workgroups.whole ? 1 : LANES,
      pools,
      tables,
      state,
      parameters: { binding: parameters, bytes: parameterBytes(arrays.length) },
      bindings,
      arrays: arrays.map(({ name }) => name),
    };
  }

  /** Units are the invocations of a workgroup of ours; the kernel's own only give ids. */
  #laneEntry(
    { dimensions, pools }: PagedVariant,
    [first, second, third]: readonly PhaseFunctions[],
    held: HeldStores,
    accessors: Accessors,
  ): Entry[] {
    const sites = [...this.#flow.sites.keys()];
    const note =
      second === undefined
        ? [`  if (${UNNOTED}) { ${accessors.noteTraced(sites)} }`, `  if (${MISSED}) { ${PENDING} return; }`]
        : null;
    const { workgroups, source } = this.#description;
    const { values } = entryArguments(source.names, source.entry, source.text);
    const [x, y, z] = workgroups.size;
    const id = (name: string): string => `${RESERVED}${name}`;
    const name = id("run");
    const call = (phase: PhaseFunctions): string => `${phase.nameOf(source.instances[0])}(${values.join(", ")});`;
    const shape = (axis: string): string => `${PARAMETERS_NAME}.shape_${axis}`;
    const text = [
      `@compute @workgroup_size(${LANES})`,
      `fn ${name}(@builtin(workgroup_id) ${id("slot")}: vec3u, @builtin(num_workgroups) ${id("slots")}: vec3u, @builtin(local_invocation_index) ${id("lane")}: u32) {`,
      `  let ${id("number")} = (${id("slot")}.x + ${id("slot")}.y * ${id("slots")}.x) * ${LANES}u + ${id("lane")};`,
      ...unitText(pools),
      dimensions === 1
        ? `  let ${id("invocation")} = vec3u(${id("unit")}, 0u, 0u);`
        : `  let ${id("invocation")} = vec3u(${id("unit")} % ${shape("x")}, (${id("unit")} / ${shape("x")}) % ${shape("y")}, ${id("unit")} / (${shape("x")} * ${shape("y")}));`,
      `  let ${id("workgroup")} = ${id("invocation")} / vec3u(${x}u, ${y}u, ${z}u);`,
      `  let ${id("local")} = ${id("invocation")} % vec3u(${x}u, ${y}u, ${z}u);`,
      `  let ${id("local_index")} = ${id("local")}.x + ${x}u * (${id("local")}.y + ${y}u * ${id("local")}.z);`,
      WORKGROUPS,
      `  ${call(first)}`,
      ...(note ?? [`  if (${UNNOTED}) { ${held.forget()} ${call(second)} if (${MISSED}) { ${PENDING} return; } }`]),
      ...held.stores(accessors).map((store) => `  ${store}`),
      ...(third === undefined ? [] : [`  ${call(third)}`, `  ${reportViolation()}`]),
      "}",
    ];
    return [{ name, text: text.join("\n") }];
  }

  #workgroupEntries({ dimensions, pools }: PagedVariant, phases: readonly PhaseFunctions[]): Entry[] {
    const { workgroups, source } = this.#description;
    const { entry, names, text } = source;
    const given = entryArguments(names, entry, text);
    const id = (name: string): string => `${RESERVED}${name}`;
    const index = `@builtin(local_invocation_index) ${id("local_index")}: u32`;
    const parameters = [...new Set([...given.parameters, index])];
    const attributes = (entry.attributes ?? []).map(({ start, end }) => text.slice(start, end));
    const count = (axis: string): string => `${PARAMETERS_NAME}.workgroups_${axis}`;
    const [x, y, z] = workgroups.size;
    const skip = id("skip");
    return phases.map((phase, i) => {
      const name = i === 0 ? id("touch") : id("commit");
      const call = `  ${phase.nameOf(source.instances[0])}(${given.values.join(", ")});`;
      const lines = [
        ...(i === 0 ? [] : [`var<workgroup> ${skip}: u32;`]),
        attributes.join(" "),
        `fn ${name}(${parameters.join(", ")}) {`,
        `  let ${id("number")} = ${id("slot")}.x + ${id("slot")}.y * ${id("slots")}.x;`,
        ...unitText(pools),
        ...(i === 0
          ? []
          : [
              `  if (${id("local_index")} == 0u) { ${skip} = atomicLoad(&${PENDING_WORD}) & ${PENDING_BIT}; }`,
              `  if (workgroupUniformLoad(&${skip}) != 0u) { return; }`,
            ]),
        dimensions === 1
          ? `  let ${id("workgroup")} = vec3u(${id("unit")}, 0u, 0u);`
          : `  let ${id("workgroup")} = vec3u(${id("unit")} % ${count("x")}, (${id("unit")} / ${count("x")}) % ${count("y")}, ${id("unit")} / (${count("x")} * ${count("y")}));`,
        `  let ${id("invocation")} = ${id("workgroup")} * vec3u(${x}u, ${y}u, ${z}u) + ${id("local")};`,
        WORKGROUPS,
        `  ${LANE} = ${id("local_index")};`,
        call,
        i === 0 ? `  if (${MISSED}) { ${PENDING} }` : `  ${reportViolation()}`,
        "}",
      ];
      return { name, text: lines.join("\n") };
    });
  }
}

interface Entry {
  readonly name: string;
  readonly text: string;
}

const WORKGROUPS = `  let ${RESERVED}workgroups = vec3u(${PARAMETERS_NAME}.workgroups_x, ${PARAMETERS_NAME}.workgroups_y, ${PARAMETERS_NAME}.workgroups_z);`;
const PENDING_WORD = `${STATE_NAME}[${PARAMETERS_NAME}.pending + (${RESERVED}number >> 5u)]`;
const PENDING_BIT = `(1u << (${RESERVED}number & 31u))`;
const PENDING = `atomicOr(&${PENDING_WORD}, ${PENDING_BIT}); atomicStore(&${STATE_NAME}[${PARAMETERS_NAME}.counters + ${COUNTERS.pending}u], 1u);`;

/** From the number of a unit in the round to that in the dispatch. */
function unitText(pools: number): string[] {
  const empty = Array.from({ length: pools }, (_, pool) => ` || arrayLength(&${RESERVED}pool_${pool}) == 0u`);
  const number = `${RESERVED}number`;
  const unit = `${RESERVED}unit`;
  return [
    // There are no more units than bits of the state, and no pool is empty. It is asked, because compilers bound indices by these
    // lengths, and have them at hand from here on.
    `  if (${number} >= min(${PARAMETERS_NAME}.count, arrayLength(&${STATE_NAME}) << 5u)${empty.join("")}) { return; }`,
    `  var ${unit} = ${PARAMETERS_NAME}.first + ${number};`,
    `  if (${PARAMETERS_NAME}.list != 0u) { ${unit} = ${TABLES_NAME}[${PARAMETERS_NAME}.list + ${number}]; }`,
  ];
}

/** What some invocation has found out is known to all of them at once, so that a compiler sees them do the same. */
function anyStopsText(): string {
  const [some, all] = [`${RESERVED}some_stops`, `${RESERVED}all_stop`];
  return [
    `var<private> ${LANE}: u32;`,
    `var<workgroup> ${some}: atomic<u32>;`,
    `var<workgroup> ${all}: u32;`,
    `fn ${ANY_STOPS}(stops: bool) -> bool {`,
    `  if (stops) { atomicStore(&${some}, 1u); }`,
    "  workgroupBarrier();",
    `  if (${LANE} == 0u) { ${all} = atomicLoad(&${some}); }`,
    `  return workgroupUniformLoad(&${all}) != 0u;`,
    "}",
  ].join("\n");
}

function declared(binding: number, template: string, name: string, type: string): string {
  return `@group(0) @binding(${binding}) var<${template}> ${RESERVED}${name}: ${type};`;
}

/** Single words lie one after another, as `PARAMETERS` says. */
function parametersText(arrays: number): string {
  const members: string[] = [];
  for (const [name, word] of Object.entries(PARAMETERS))
    members[word] = name.replace(/[XYZ]$/, (axis) => `_${axis.toLowerCase()}`);
  for (let i = 0; i < arrays; i++) {
    const word = ARRAYS + i * ARRAY_WORDS;
    members[word] = `first_${i}`;
    members[word + 1] = `last_${i}`;
    members[word + 2] = `length_${i}`;
  }
  const words = parameterBytes(arrays) / 4;
  while (members.length < words) members.push(`unused_${members.length}`);
  return `struct ${PARAMETERS_NAME}_words {\n${members.map((name) => `  ${name}: u32,`).join("\n")}\n}`;
}

/** What a subgroup has in common depends on which units are run together. */
function refuseSubgroups({ subgroups, source: { entry, instances, names, text } }: KernelDescription): void {
  if (entryArguments(names, entry, text).parameters.some((parameter) => parameter.includes("subgroup")))
    throw errorAt(
      text,
      entry.start,
      "ids of subgroups depend on which invocations run together: this kernel cannot be paged",
    );
  if (!subgroups) return;
  for (const { fn } of instances) {
    forEachNode(fn, (node) => {
      if (node.kind !== "call-expression") return;
      const reference = calledReference(node);
      const { originalName } = reference.ident;
      if (names.of(reference) === null && /^(?:subgroup|quad)[A-Z]/.test(originalName))
        throw errorAt(
          text,
          node.start,
          `${originalName} depends on which invocations run together: this kernel cannot be paged`,
        );
    });
  }
}
