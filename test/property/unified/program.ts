/**
 * A random program over a unified memory: how large its pages and its device are, and actions one after the other. As in
 * the programs over the engine, any part of a program is one.
 */

import fc from "fast-check";
import { strideOf, viewOf } from "../../../src/device/element.js";
import { MemoryError } from "../../../src/mm/errors.js";
import { seededRandom } from "../../environments.js";
import { NoFailures, RandomFailures } from "../../simulation/failure-plan.js";
import { SimulatedEnvironment } from "../../simulation/simulated-environment.js";
import { ArraysUnderTest, type ArrayUnderTest, type Mode, type NumberArray, type Setup } from "./arrays-under-test.js";
import { INTEGER_TYPES, kernels, NUMBER_TYPES, type NumberType } from "./kernels.js";
import { isWgslType, pagedKernels } from "./paged-kernels.js";

const KINDS = {
  create: 4,
  write: 5,
  writeStream: 3,
  brokenStream: 2,
  fill: 4,
  read: 5,
  dispatch: 16,
  dispatchPaged: 8,
  prefetch: 5,
  pin: 3,
  tryPin: 3,
  storeThroughPin: 2,
  release: 4,
  snapshot: 4,
  view: 3,
  dirtyRanges: 3,
  clearDirty: 2,
  destroy: 2,
  settle: 3,
} as const;

export type Kind = keyof typeof KINDS;

export const kinds = Object.keys(KINDS) as readonly Kind[];

/** What programs of few kinds have besides. */
const FOCUSED: readonly Kind[] = ["create", "write", "read"];

export interface Action {
  readonly kind: Kind;
  readonly which: number;
  /** Where it begins and how far it goes, in shares of 16. */
  readonly from: number;
  readonly count: number;
  readonly choice: number;
  readonly tasks: number;
}

export interface Program extends Omit<Setup, "workers"> {
  readonly seed: number;
  /** Of 64 allocations and copies, how many fail; operations then are carried out one by one. */
  readonly failures: number;
  readonly actions: readonly Action[];
}

export interface Run {
  readonly steps: number;
  readonly homesAsked: number;
  readonly homesRefused: number;
  readonly events: Events;
}

export interface Events {
  readonly toDevice: number;
  readonly toHost: number;
  readonly droppedClean: number;
  readonly evictions: number;
  readonly tryPins: number;
  readonly streamed: number;
  readonly paged: number;
  readonly swapped: number;
  readonly mappedReads: number;
  readonly copiedOnWrite: number;
  readonly copiedPinned: number;
  readonly copiedOnDevice: number;
  readonly brokenStreams: number;
  readonly views: number;
}

const NONE: Events = {
  toDevice: 0,
  toHost: 0,
  droppedClean: 0,
  evictions: 0,
  tryPins: 0,
  streamed: 0,
  paged: 0,
  swapped: 0,
  mappedReads: 0,
  copiedOnWrite: 0,
  copiedPinned: 0,
  copiedOnDevice: 0,
  brokenStreams: 0,
  views: 0,
};
const WRITES: ReadonlySet<Kind> = new Set(["write", "writeStream", "brokenStream", "fill", "clearDirty"]);
const KiB = 1024;
const MOST_ARRAYS = 5;
const MOST_SNAPSHOTS = 4;
const MOST_VIEWS = 3;
const MOST_PAGES = 6;
/** So that pages of 64 KiB do not make everything slow. */
const MOST_BYTES = 144 * KiB;
/** Host memory of programs with swap: less than their arrays may have. */
const SWAPPING_PAGES = 8;
const AWAY_FROM_HOME = 0.3;
const VALUES = 101;
const MODES: readonly Mode[] = ["auto", "auto", "streamed", "streamed", "streamed", "auto", "resident", "streamed"];

/** Of all kinds of actions, or only of those in `focus` and the ones that these need. */
export function programs(mostActions: number, focus: readonly Kind[] = []): fc.Arbitrary<Program> {
  const some = focus.length === 0 ? kinds : kinds.filter((kind) => FOCUSED.includes(kind) || focus.includes(kind));
  return fc.record({
    seed: fc.nat(),
    pageSize: fc.constantFrom(4 * KiB, 4 * KiB, 16 * KiB, 64 * KiB),
    devicePages: fc.constantFrom(2, 3, 4, 5, 6, 8, 12, 40),
    hostPages: fc.constantFrom(0, 0, (MOST_ARRAYS + MOST_SNAPSHOTS) * MOST_PAGES * 3),
    swapped: fc.constantFrom(false, true),
    kind: fc.constantFrom("private", "private", "coherent"),
    latency: fc.constantFrom(0, 1),
    failures: fc.constantFrom(0, 0, 0, 2),
    actions: fc.array(
      fc.record({
        kind: fc.oneof(...some.map((kind) => ({ weight: KINDS[kind], arbitrary: fc.constant(kind) }))),
        which: fc.nat(15),
        from: fc.nat(15),
        count: fc.integer({ min: 1, max: 16 }),
        choice: fc.nat(7),
        tasks: fc.constantFrom(0, 0, 0, 1, 3),
      }),
      { minLength: 1, maxLength: mostActions, size: "max" },
    ),
  });
}

export async function run({ seed, failures: share, actions, ...given }: Program, workers = false): Promise<Run> {
  const setup = { ...given, workers, ...(given.swapped && { hostPages: SWAPPING_PAGES }) };
  const random = seededRandom(~seed);
  const failures = share === 0 ? new NoFailures() : new RandomFailures(seededRandom(seed ^ share), share / 64);
  const environment = new SimulatedEnvironment({ seed, failures, awayFromHome: AWAY_FROM_HOME });
  const under = await openedIn(setup, environment);
  if (under === null) return { steps: 0, homesAsked: 0, homesRefused: 0, events: NONE };
  let tryPins = 0;
  for (const action of actions) {
    if (await perform(under, action, setup, random)) tryPins++;
    // Where an operation may be refused for want of memory, none after it is begun before that is known.
    if (share === 0 && !(setup.swapped && under.arePinned)) await under.runSome(action.tasks);
    else await under.settle();
  }
  await under.settle();
  const { migrations, droppedClean, evictions, copies } = under.stats;
  const pages = (causes: Readonly<Record<string, { readonly pages: number }>>): number =>
    Object.values(causes).reduce((sum, cause) => sum + cause.pages, 0);
  const events = {
    toDevice: pages(migrations.toDevice),
    toHost: pages(migrations.toHost),
    droppedClean: droppedClean.pages,
    evictions,
    tryPins,
    streamed: under.modes.has("streamed") ? 1 : 0,
    paged: under.modes.has("paged") ? 1 : 0,
    swapped: (under.stats.swap?.readBytes ?? 0) / setup.pageSize,
    mappedReads: under.stats.files.readBytes,
    copiedOnWrite: copies.onWrite,
    copiedPinned: copies.pinned,
    copiedOnDevice: migrations.toHost.unshare.pages,
    brokenStreams: under.brokenStreams,
    views: under.views,
  };
  await under.tearDown();
  const { homesAsked, homesRefused } = environment;
  return { steps: actions.length, homesAsked, homesRefused, events };
}

/** Null when there was no memory for the very first page table. */
async function openedIn(setup: Setup, environment: SimulatedEnvironment): Promise<ArraysUnderTest | null> {
  try {
    return await ArraysUnderTest.open(setup, environment);
  } catch (error) {
    if (environment.failures.failed > 0 && error instanceof MemoryError && error.code === "ENOMEM") return null;
    throw error;
  }
}

/** Carries an action out, or begins to; true when a `tryPin` gave a pin. */
async function perform(under: ArraysUnderTest, action: Action, setup: Setup, random: () => number): Promise<boolean> {
  const { kind, which, from, count, choice } = action;
  const target = under.arrays[which % Math.max(under.arrays.length, 1)];
  const pin = under.pins[which % Math.max(under.pins.length, 1)];
  if (kind === "create" || target === undefined) {
    await create(under, action, setup, random);
    return false;
  }
  const { array } = target;
  const start = Math.min(Math.floor((array.length * from) / 16), array.length - 1);
  const length = Math.max(1, Math.floor(((array.length - start) * count) / 16));
  const mode = array.readOnly || (choice & 1) === 0 ? "read" : "write";
  if (array.readOnly && WRITES.has(kind)) {
    under.refuseToWrite(target);
    return false;
  }
  switch (kind) {
    case "write":
      under.write(target, start, values(target, length, random));
      break;
    case "writeStream":
      // Chunks that end anywhere, also within elements; not too many of them.
      under.writeStream(target, start, values(target, length, random), Math.ceil(length / 8) + choice * 501);
      break;
    case "brokenStream":
      under.writeBrokenStream(
        target,
        start,
        values(target, length, random),
        Math.ceil(length / 4) + choice * 501,
        random(),
      );
      break;
    case "fill":
      under.fill(target, Math.floor(random() * VALUES), start, length);
      break;
    case "read":
      under.read(target, start, length, choice === 0);
      break;
    case "dispatch":
      await dispatch(under, action);
      break;
    case "dispatchPaged":
      await dispatchPaged(under, action);
      break;
    case "prefetch":
      under.prefetch(target, choice < 5 ? "device" : "host", start, length);
      break;
    case "pin":
      under.pin(target, mode, start, length);
      break;
    case "tryPin":
      // It never gives a pin while something is under way.
      if (choice >= 4) await under.settle();
      return under.tryPin(target, mode, start, length);
    case "storeThroughPin":
    case "release":
      await under.settle();
      if (pin === undefined) break;
      if (kind === "release") under.release(pin);
      else under.storeThroughPin(pin, Math.floor(random() * VALUES));
      break;
    case "snapshot":
      if (under.arrays.filter((each) => each.array.readOnly).length < MOST_SNAPSHOTS) await under.snapshot(target);
      break;
    case "view":
      if (under.arrays.filter((each) => each.isView).length < MOST_VIEWS)
        under.view(target, INTEGER_TYPES[choice % INTEGER_TYPES.length]);
      break;
    case "dirtyRanges":
      under.dirtyRanges(target);
      break;
    case "clearDirty":
      under.clearDirty(target);
      break;
    case "destroy":
      under.destroy(target);
      break;
    case "settle":
      await under.settle();
      break;
  }
  return false;
}

async function create(
  under: ArraysUnderTest,
  { which, from, count, choice }: Action,
  { pageSize }: Setup,
  random: () => number,
): Promise<void> {
  if (under.arrays.filter(({ array, isView }) => !array.readOnly && !isView).length >= MOST_ARRAYS) return;
  // Those that kernels in WGSL have come first, and twice as often.
  const type = which % 2 === 0 ? NUMBER_TYPES[choice] : NUMBER_TYPES[choice % 3];
  const bytes = Math.min((MOST_PAGES * pageSize * (count * 16 + from)) / 272, MOST_BYTES);
  const length = Math.max(1, Math.floor(bytes / strideOf(type)) - which);
  if (which % 4 === 3) await under.map(type, randomNumbers(type, length, random));
  else under.create(type, length);
}

async function dispatch(under: ArraysUnderTest, { which, from, count, choice }: Action): Promise<void> {
  const kernel = kernels[from % kernels.length];
  const names = Object.keys(kernel.footprint);
  if (names.length > under.arrays.length) return;
  const given = names.map((_, i): ArrayUnderTest => under.arrays[(which + i) % under.arrays.length]);
  await under.dispatch(kernel, given, count / 16, MODES[choice]);
}

/** Over arrays of 32-bit numbers, as many as there are. */
async function dispatchPaged(under: ArraysUnderTest, { which, from, count }: Action): Promise<void> {
  const arrays = under.arrays.filter(({ array }) => isWgslType(array.type));
  const kernel = pagedKernels[from % pagedKernels.length];
  if (kernel.names.length > arrays.length) return;
  const given = kernel.names.map((_, i): ArrayUnderTest => arrays[(which + i) % arrays.length]);
  await under.dispatchPaged(kernel, given, count / 16);
}

function values({ array }: ArrayUnderTest, length: number, random: () => number): NumberArray {
  return randomNumbers(array.type, length, random);
}

function randomNumbers(type: NumberType, length: number, random: () => number): NumberArray {
  const view = viewOf(type, new ArrayBuffer(length * strideOf(type)), 0, length);
  for (let i = 0; i < length; i++) view[i] = Math.floor(random() * VALUES);
  return view;
}
