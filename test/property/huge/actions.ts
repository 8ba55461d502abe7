/** Random programs over huge pages: each action a handful of small numbers that mean something for whatever there is by then. */

import fc from "fast-check";
import { BLOCK } from "../../mm/huge/huge-space.js";

const KINDS = {
  map: 3,
  unmap: 2,
  giveUp: 3,
  protect: 3,
  store: 14,
  load: 8,
  storeOnDevice: 4,
  toDevice: 10,
  toHost: 5,
  evict: 2,
  exclusive: 4,
  pageOut: 5,
  clearSoftDirty: 2,
  pin: 8,
  storeThroughPin: 4,
  release: 8,
  fork: 3,
  exit: 2,
} as const;

export type Kind = keyof typeof KINDS;

export const kinds = Object.keys(KINDS) as readonly Kind[];

/** Blocks of the range that programs work on. */
export const BLOCKS = 3;

export interface Action {
  readonly kind: Kind;
  /** Which process, pin or device. */
  readonly which: number;
  readonly from: number;
  readonly count: number;
  /** For writing, for long, with advice and so on. */
  readonly choice: number;
}

/** Whole blocks, and parts of them: ranges that end where blocks do are what huge pages live of. */
const ranges = fc.oneof(
  fc.record({ from: fc.constantFrom(0, BLOCK, 2 * BLOCK), count: fc.constantFrom(BLOCK, 2 * BLOCK, 3 * BLOCK) }),
  fc.record({ from: fc.nat(BLOCKS * BLOCK - 1), count: fc.constantFrom(1, 1, 2, 17, 64, 300) }),
);

export function programs(mostActions: number): fc.Arbitrary<readonly Action[]> {
  const kind = fc.oneof(...kinds.map((each) => ({ weight: KINDS[each], arbitrary: fc.constant(each) })));
  const action = fc
    .tuple(kind, fc.nat(11), ranges, fc.nat(7))
    .map(([each, which, range, choice]) => ({ kind: each, which, ...range, choice }));
  return fc.array(action, { minLength: 10, maxLength: mostActions, size: "max" });
}
