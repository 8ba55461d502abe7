/** A run of a random program over huge pages, with a check after every step; and what it reached. */

import { BLOCK } from "../../mm/huge/huge-space.js";
import { type Action, BLOCKS } from "./actions.js";
import { World } from "./world.js";

export interface Run {
  readonly steps: number;
  readonly hugeEntries: number;
  readonly parts: number;
  readonly moved: number;
  readonly taken: ReadonlyMap<string, number>;
}

/** Rejects with what went wrong. */
export async function run(program: readonly Action[]): Promise<Run> {
  const world = new World();
  const taken = new Map<string, number>();
  await world.map(world.process(0), 0, BLOCKS * BLOCK, true);
  for (const action of program) {
    taken.set(action.kind, (taken.get(action.kind) ?? 0) + 1);
    await perform(world, action);
    world.check();
  }
  await world.tearDown();
  const { hugeEntries, parts, moved } = world;
  return { steps: program.length, hugeEntries, parts, moved, taken };
}

async function perform(world: World, { kind, which, from, count, choice }: Action): Promise<void> {
  const process = world.process(which);
  const to = Math.min(from + count, BLOCKS * BLOCK);
  const device = world.device(choice);
  switch (kind) {
    case "map":
      return world.map(process, from, to, choice !== 0);
    case "unmap":
      return world.unmap(process, from, to);
    case "giveUp":
      return world.giveUp(process, from, to);
    case "protect":
      return world.protect(process, from, to, choice < 5);
    case "store":
      return world.store(process, from);
    case "load":
      return world.load(process, from);
    case "storeOnDevice":
      return world.storeOnDevice(process, from);
    case "toDevice":
      return world.toDevice(process, device, from, to);
    case "toHost":
      return world.toHost(process, device, from, to);
    case "evict":
      await device.evict();
      return;
    case "exclusive":
      return world.exclusive(process, from, to);
    case "pageOut":
      return world.pageOut(process, from, to);
    case "clearSoftDirty":
      return world.clearSoftDirty(process);
    case "pin":
      return world.pin(process, from, (choice & 1) !== 0, (choice & 2) !== 0);
    case "storeThroughPin":
      return world.storeThroughPin(which);
    case "release":
      return world.release(which);
    case "fork":
      return world.fork(process);
    case "exit":
      return world.exit(process);
    default:
      return kind satisfies never;
  }
}
