/**
 * Random programs over a world: what the machine is like, and actions one after the other, each a handful of small
 * numbers that mean something for whatever the world holds by then. So any program is valid, and so is any part of it,
 * which lets the search for a failure throw actions away until only those are left that matter.
 */

import fc from "fast-check";
import type { DeviceSetup, SwapSetup } from "./world.js";

const KINDS = {
  map: 2,
  mapObject: 5,
  unmap: 1,
  protect: 5,
  giveUp: 3,
  store: 12,
  load: 6,
  deviceStore: 12,
  deviceLoad: 6,
  exclusive: 6,
  toDevice: 16,
  toHost: 8,
  evict: 8,
  emptyDevice: 4,
  pageOut: 14,
  writeObject: 3,
  clearSoftDirty: 2,
  pin: 8,
  tryPin: 2,
  pinLongTerm: 4,
  storeThroughPin: 8,
  release: 10,
  lock: 4,
  unlock: 4,
  fork: 4,
  exit: 2,
  settle: 5,
} as const;

export type Kind = keyof typeof KINDS;

export const kinds = Object.keys(KINDS) as readonly Kind[];

const ALWAYS: readonly Kind[] = ["map", "store", "toDevice"];
const FOCUSED: readonly Kind[] = ["map", "store"];
/** The other kinds, together where one means little without the other. */
const GROUPS: readonly (readonly Kind[])[] = [
  ["unmap"],
  ["protect"],
  ["giveUp"],
  ["load"],
  ["deviceStore", "deviceLoad"],
  ["exclusive"],
  ["toHost"],
  ["evict"],
  ["emptyDevice"],
  ["pageOut"],
  ["mapObject", "writeObject"],
  ["clearSoftDirty"],
  ["pin", "tryPin", "pinLongTerm", "storeThroughPin", "release"],
  ["lock", "unlock"],
  ["fork"],
  ["exit"],
  ["settle"],
];

export interface Action {
  readonly kind: Kind;
  /** Which mapping, pin, object or frame; where in it; how much of it. */
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
  readonly swap: SwapSetup;
  /** Pages of host memory; 0 for no limit. */
  readonly hostPages: number;
  /** Of 64 allocations, copies and transfers, how many fail. */
  readonly failures: number;
  readonly actions: readonly Action[];
}

/** Tasks between two actions: everything overlaps, or much, or little. */
const PACES: readonly (readonly number[])[] = [[0], [0, 0, 1], [0, 1, 2, 4]];

/**
 * Each program uses only some kinds of actions, those in `focus` if there are any, and mappings of at most so many pages:
 * with fewer of either, the same few things meet more often (swarm testing).
 */
export function programs(mostActions: number, fewestActions = 1, focus: readonly Kind[] = []): fc.Arbitrary<Program> {
  const groups = focus.length === 0 ? fc.subarray([...GROUPS], { minLength: 2 }) : fc.constant([focus]);
  const always = focus.length === 0 ? ALWAYS : FOCUSED;
  return fc.tuple(groups, fc.constantFrom(1, 2, 4, 8), fc.constantFrom(...PACES)).chain(([some, mostPages, pace]) => {
    const link = fc.constantFrom("late" as const, "early" as const, "instant" as const);
    const device = (kind: fc.Arbitrary<"private" | "coherent">): fc.Arbitrary<DeviceSetup> =>
      fc.record({ kind, frames: fc.integer({ min: 2, max: 3 * mostPages }), link });
    return fc.record({
      seed: fc.nat(),
      devices: fc.tuple(device(fc.constant("private")), device(fc.constantFrom("coherent", "private"))),
      swap: fc.record({
        slots: fc.constantFrom(0, 1, 2 * mostPages, 2 * mostPages),
        link: fc.constantFrom("late" as const, "early" as const),
      }),
      hostPages: fc.constantFrom(0, 0, 0, 3 * mostPages),
      failures: fc.constantFrom(0, 0, 0, 2, 6),
      actions: fc.array(actions([...always, ...some.flat()], mostPages, pace), {
        minLength: fewestActions,
        maxLength: mostActions,
        size: "max",
      }),
    });
  });
}

function actions(some: readonly Kind[], mostPages: number, pace: readonly number[]): fc.Arbitrary<Action> {
  return fc.record({
    kind: fc.oneof(...some.map((kind) => ({ weight: KINDS[kind], arbitrary: fc.constant(kind) }))),
    which: fc.nat(11),
    from: fc.nat(mostPages - 1),
    count: fc.integer({ min: 1, max: mostPages }),
    choice: fc.nat(7),
    tasks: fc.constantFrom(...pace),
  });
}
