/**
 * A random program over a world: what the machine is like, and actions one after the other, each a handful of small
 * numbers that mean something for whatever the world holds by then. So any program is valid, and so is any part of it,
 * which lets the search for a failure throw actions away until only those are left that matter.
 */

import fc from "fast-check";
import { DMA_PIN, SHORT_REFERENCE } from "../../../src/mm/gup.js";
import { PROT_NONE, PROT_READ, PROT_WRITE } from "../../../src/mm/vma.js";
import type { MigrationCounters } from "../../../src/trace/counters.js";
import { seededRandom } from "../../environments.js";
import { type FailurePlan, NoFailures, RandomFailures } from "../../simulation/failure-plan.js";
import { letPromisesSettle, SimulatedEnvironment } from "../../simulation/simulated-environment.js";
import * as operations from "./operations.js";
import type { Target } from "./operations.js";
import type { Mapping, Space } from "./space.js";
import { type DeviceSetup, World } from "./world.js";

const KINDS = {
  map: 2,
  unmap: 1,
  protect: 5,
  giveUp: 3,
  store: 12,
  load: 6,
  deviceStore: 12,
  deviceLoad: 6,
  toDevice: 16,
  toHost: 8,
  evict: 8,
  pin: 8,
  tryPin: 2,
  storeThroughPin: 8,
  release: 10,
  lock: 4,
  unlock: 4,
  fork: 3,
  exit: 1,
  settle: 5,
} as const;

type Kind = keyof typeof KINDS;

const ALWAYS: readonly Kind[] = ["map", "store", "toDevice"];
/** The other kinds, together where one means little without the other. */
const GROUPS: readonly (readonly Kind[])[] = [
  ["unmap"],
  ["protect"],
  ["giveUp"],
  ["load"],
  ["deviceStore", "deviceLoad"],
  ["toHost"],
  ["evict"],
  ["pin", "tryPin", "storeThroughPin", "release"],
  ["lock", "unlock"],
  ["fork"],
  ["exit"],
  ["settle"],
];

export interface Action {
  readonly kind: Kind;
  /** Which mapping, pin or frame; where in it; how much of it. */
  readonly which: number;
  readonly from: number;
  readonly count: number;
  /** Which device, whether with home frames, for writing and so on. */
  readonly choice: number;
  /** Tasks that run before the next action: with few, operations overlap. */
  readonly tasks: number;
}

export interface Program {
  /** Decides the order of tasks, random failures and homes that are refused. */
  readonly seed: number;
  readonly devices: readonly [DeviceSetup, DeviceSetup];
  /** Pages of host memory; 0 for no limit. */
  readonly hostPages: number;
  /** Of 64 allocations and copies, how many fail. */
  readonly failures: number;
  readonly actions: readonly Action[];
}

export interface Run {
  readonly steps: number;
  readonly homesAsked: number;
  readonly homesRefused: number;
  readonly events: Events;
}

/** What programs have to reach, or they test nothing. */
export interface Events {
  readonly toDevice: number;
  readonly faultedHome: number;
  readonly evicted: number;
  readonly prefetchedHome: number;
  readonly droppedClean: number;
  readonly waits: number;
}

/** Tasks between two actions: everything overlaps, or much, or little. */
const PACES: readonly (readonly number[])[] = [[0], [0, 0, 1], [0, 1, 2, 4]];
const MOST_SPACES = 3;
const MOST_MAPPINGS = 3;
const MOST_UNDER_WAY = 12;
const AWAY_FROM_HOME = 0.3;
const READ_WRITE = PROT_READ | PROT_WRITE;
const PROTECTIONS = [READ_WRITE, PROT_READ, READ_WRITE, PROT_NONE, READ_WRITE, PROT_READ, READ_WRITE, PROT_READ];

/**
 * Each program uses only some kinds of actions, and mappings of at most so many pages: with fewer of either, the same few
 * things meet more often (swarm testing).
 */
export function programs(mostActions: number, fewestActions = 1): fc.Arbitrary<Program> {
  const groups = fc.subarray([...GROUPS], { minLength: 2 });
  return fc.tuple(groups, fc.constantFrom(1, 2, 4, 8), fc.constantFrom(...PACES)).chain(([some, mostPages, pace]) => {
    const link = fc.constantFrom("late" as const, "early" as const, "instant" as const);
    const device = (kind: fc.Arbitrary<"private" | "coherent">): fc.Arbitrary<DeviceSetup> =>
      fc.record({ kind, frames: fc.integer({ min: 2, max: 3 * mostPages }), link });
    return fc.record({
      seed: fc.nat(),
      devices: fc.tuple(device(fc.constant("private")), device(fc.constantFrom("coherent", "private"))),
      hostPages: fc.constantFrom(0, 0, 0, 3 * mostPages),
      failures: fc.constantFrom(0, 0, 0, 2),
      actions: fc.array(actions([...ALWAYS, ...some.flat()], mostPages, pace), {
        minLength: fewestActions,
        maxLength: mostActions,
        size: "max",
      }),
    });
  });
}

function actions(kinds: readonly Kind[], mostPages: number, pace: readonly number[]): fc.Arbitrary<Action> {
  return fc.record({
    kind: fc.oneof(...kinds.map((kind) => ({ weight: KINDS[kind], arbitrary: fc.constant(kind) }))),
    which: fc.nat(11),
    from: fc.nat(mostPages - 1),
    count: fc.integer({ min: 1, max: mostPages }),
    choice: fc.nat(7),
    tasks: fc.constantFrom(...pace),
  });
}

/** Runs a program, with a check after every step; rejects with what went wrong. */
export async function run(program: Program, failures: FailurePlan = planOf(program)): Promise<Run> {
  const { seed, devices, hostPages } = program;
  const environment = new SimulatedEnvironment({ seed, failures, awayFromHome: AWAY_FROM_HOME });
  const world = await World.create({ devices, hostPages: hostPages === 0 ? Infinity : hostPages }, environment);
  let steps = 0;
  for (const action of program.actions) {
    perform(world, action);
    steps++;
    await letPromisesSettle();
    world.check();
    const runSome = world.underWay > MOST_UNDER_WAY || action.kind === "settle" ? Infinity : action.tasks;
    for (let i = 0; i < runSome && (await environment.runOne()); i++) world.check();
  }
  while (world.unlockPage());
  await world.quiesce();
  await world.tearDown((space) => operations.exit(world, space));
  const { homesAsked, homesRefused } = environment;
  return { steps, homesAsked, homesRefused, events: eventsOf(world) };
}

function eventsOf({ devices, machine }: World): Events {
  const sum = (of: (counters: MigrationCounters) => number): number =>
    devices.reduce((total, { counters }) => total + of(counters), 0);
  return {
    toDevice: sum(({ toDevice }) => toDevice.prefetch.pages),
    faultedHome: sum(({ toHost }) => toHost.fault.pages),
    evicted: sum(({ toHost }) => toHost.eviction.pages),
    prefetchedHome: sum(({ toHost }) => toHost.prefetch.pages),
    droppedClean: sum(({ droppedClean }) => droppedClean.pages),
    waits: machine.counters.waits,
  };
}

function planOf({ seed, failures }: Program): FailurePlan {
  return failures === 0 ? new NoFailures() : new RandomFailures(seededRandom(~seed), failures / 64);
}

function perform(world: World, action: Action): void {
  const { kind, which, from, count, choice } = action;
  const device = world.devices[choice & 1];
  const pins = world.pins;
  const pin = pins[which % Math.max(pins.length, 1)];
  if (kind === "map") return mapSomewhere(world, action);
  if (kind === "settle") return;
  if (kind === "unlock") return void world.unlockPage();
  if (kind === "evict") {
    const first = choice < 4 ? 0 : from % device.zone.frames;
    operations.evict(world, device, first, Math.min(count * 3, device.zone.frames - first));
    return;
  }
  if (kind === "storeThroughPin" || kind === "release") {
    if (pin === undefined) return;
    // Who held a page to write it may write it last before letting it go.
    if (kind === "storeThroughPin" || choice >= 4) operations.storeThroughPin(world, pin);
    if (kind === "release") operations.release(world, pin, (choice & 1) !== 0);
    return;
  }
  const target = targetOf(world, action);
  if (target === undefined) return mapSomewhere(world, action);
  switch (kind) {
    case "unmap":
      return operations.unmap(world, target);
    case "protect":
      return operations.protect(world, target, PROTECTIONS[choice]);
    case "giveUp":
      return operations.giveUp(world, target);
    case "store":
      return operations.store(world, target);
    case "load":
      return operations.load(world, target);
    case "deviceStore":
      return operations.deviceStore(world, device, target);
    case "deviceLoad":
      return operations.deviceLoad(world, device, target);
    case "toDevice":
      return operations.toDevice(world, device, target);
    case "toHost":
      return operations.toHost(world, device, target);
    case "pin":
    case "tryPin":
      return (kind === "pin" ? operations.pin : operations.tryPin)(
        world,
        target,
        (choice & 1) !== 0,
        (choice & 2) === 0 ? SHORT_REFERENCE : DMA_PIN,
      );
    case "lock":
      return world.lockPage(target.space, target.start);
    case "fork":
      if (world.spaces.filter(({ alive }) => alive).length < MOST_SPACES) operations.fork(world, target.space);
      return;
    case "exit":
      // Seldom, or nothing would ever get far.
      if (choice === 0) operations.exit(world, target.space);
      return;
  }
}

/** A new mapping, in a new address space as long as there are few; now and then over another one. */
function mapSomewhere(world: World, { which, from, count, choice }: Action): void {
  const live = world.spaces.filter(({ alive }) => alive);
  const mappings = mappingsOf(world);
  if (mappings.length >= MOST_MAPPINGS) return;
  if (live.length === 0 || (live.length < MOST_SPACES && (choice & 1) !== 0)) world.createSpace();
  const spaces: Space[] = world.spaces.filter(({ alive }) => alive);
  const space = spaces[which % Math.max(spaces.length, 1)];
  if (space === undefined) return;
  const over = mappings.find((mapping) => mapping.space === space);
  const at = choice === 7 && over !== undefined ? over.start + (from % over.pages) : null;
  operations.map(world, space, count, (choice & 6) !== 0, at);
}

function mappingsOf(world: World): Mapping[] {
  return world.mappings.filter(({ space }) => space.alive);
}

/** All pages of some mapping, or some of them; at times one page more than it has. */
function targetOf(world: World, { which, from, count, choice }: Action): Target | undefined {
  const mappings = mappingsOf(world);
  const mapping = mappings[which % Math.max(mappings.length, 1)];
  if (mapping === undefined) return undefined;
  const { space, start, pages } = mapping;
  if (count >= pages) return { space, start, end: start + pages };
  const first = start + (from % pages);
  const beyond = choice === 7 ? 1 : 0;
  return { space, start: first, end: Math.min(first + count, start + pages + beyond) };
}
