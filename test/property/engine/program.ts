/** A run of a random program, with a check after every step; and what it reached. */

import type { MigrationCounters } from "../../../src/trace/counters.js";
import { seededRandom } from "../../environments.js";
import { type FailurePlan, NoFailures, RandomFailures } from "../../simulation/failure-plan.js";
import { letPromisesSettle, SimulatedEnvironment } from "../../simulation/simulated-environment.js";
import type { Program } from "./actions.js";
import * as operations from "./operations/index.js";
import { perform } from "./perform.js";
import { addTallies, type Tallies } from "./tally.js";
import { World } from "./world.js";

export interface Run {
  readonly steps: number;
  readonly homesAsked: number;
  readonly homesRefused: number;
  readonly events: Events;
  readonly tallies: Tallies;
}

/** What programs have to reach, or they test nothing. */
export interface Events {
  readonly toDevice: number;
  readonly faultedHome: number;
  readonly evicted: number;
  readonly emptied: number;
  readonly prefetchedHome: number;
  readonly droppedClean: number;
  readonly exclusive: number;
  readonly swapWrites: number;
  readonly swapReads: number;
  readonly fileReads: number;
  readonly waits: number;
}

const MOST_UNDER_WAY = 12;
const AWAY_FROM_HOME = 0.3;

/** Rejects with what went wrong. */
export async function run(program: Program, failures: FailurePlan = planOf(program)): Promise<Run> {
  const { seed, devices, hostPages, swap } = program;
  const environment = new SimulatedEnvironment({ seed, failures, awayFromHome: AWAY_FROM_HOME });
  const world = await World.create({ devices, swap, hostPages: hostPages === 0 ? Infinity : hostPages }, environment);
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
  const tallies: Tallies = new Map();
  addTallies(tallies, world.tallies);
  await world.tearDown((space) => operations.exit(world, space));
  const { homesAsked, homesRefused } = environment;
  return { steps, homesAsked, homesRefused, events: eventsOf(world), tallies };
}

function eventsOf({ devices, machine, exclusivePages, emptiedPages, pageTransfers }: World): Events {
  const sum = (of: (counters: MigrationCounters) => number): number =>
    devices.reduce((total, { counters }) => total + of(counters), 0);
  return {
    toDevice: sum(({ toDevice }) => toDevice.prefetch.pages),
    faultedHome: sum(({ toHost }) => toHost.fault.pages),
    evicted: sum(({ toHost }) => toHost.eviction.pages),
    emptied: emptiedPages,
    prefetchedHome: sum(({ toHost }) => toHost.prefetch.pages),
    droppedClean: sum(({ droppedClean }) => droppedClean.pages),
    exclusive: exclusivePages,
    swapWrites: pageTransfers.done["swap-write"],
    swapReads: pageTransfers.done["swap-read"],
    fileReads: pageTransfers.done["file-read"],
    waits: machine.counters.waits,
  };
}

function planOf({ seed, failures }: Program): FailurePlan {
  return failures === 0 ? new NoFailures() : new RandomFailures(seededRandom(~seed), failures / 64);
}
