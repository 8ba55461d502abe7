/** What changes mappings: map, unmap, protect, give up, fork, exit. */

import type { MemoryError } from "../../../../src/mm/errors.js";
import { forkAddressSpace } from "../../../../src/mm/copy/fork.js";
import {
  dontNeed,
  exitAddressSpace,
  type MapOptions,
  mmap,
  mprotect,
  munmap,
} from "../../../../src/mm/space/mapping.js";
import { ADDRESS_SPACE_PAGES } from "../../../../src/mm/table/page-table.js";
import type { SharedObject } from "../shared-object.js";
import type { Space } from "../space.js";
import { PAGE_SIZE, type World } from "../world.js";
import { advise, name, READ_WRITE, type Target } from "./target.js";

/** Maps pages, with home frames or without; at a given place what is mapped there goes. */
export function map(world: World, space: Space, pages: number, homes: boolean, at: number | null): void {
  const home = homes ? world.machine.host.reserveHome(pages) : null;
  beginMapping(world, "map", space, pages, at, async (options) => {
    try {
      const start = (await mmap(space.mm, home === null ? options : { ...options, home })) / PAGE_SIZE;
      space.mapped(start, pages, READ_WRITE);
      world.mappings.push({ space, start, pages, home });
    } catch (error) {
      if (home !== null) world.machine.host.releaseHome(home);
      throw error;
    }
  });
}

export interface PartOfObject {
  readonly object: SharedObject;
  /** Its first page. */
  readonly first: number;
  /** What is stored is seen by all who map the object. */
  readonly shared: boolean;
  /** The object is to live as long as it is mapped, and no longer. */
  readonly release: boolean;
}

export function mapObject(world: World, space: Space, pages: number, part: PartOfObject, at: number | null): void {
  const { object, first, shared, release } = part;
  const act = async (options: MapOptions): Promise<void> => {
    const file = { file: object.cache, offset: first * PAGE_SIZE, shared };
    const start = (await mmap(space.mm, { ...options, ...file })) / PAGE_SIZE;
    space.mappedObject(start, pages, object, first, shared);
    world.mappings.push({ space, start, pages, home: null });
    if (release) world.releaseObject(object);
  };
  beginMapping(world, "mapObject", space, pages, at, act, (error) =>
    world.isInUse(object) ? error === null : error === null || error.code === "EINVAL",
  );
}

function beginMapping(
  world: World,
  kind: string,
  space: Space,
  pages: number,
  at: number | null,
  act: (options: MapOptions) => Promise<void>,
  accepts?: (error: MemoryError | null) => boolean,
): void {
  // A mapping without a place lands in a gap, where nobody has anything to lose.
  const where = { space, start: at ?? 0, end: at === null ? 0 : at + pages };
  const length = pages * PAGE_SIZE;
  const options = at === null ? { length } : { length, address: at * PAGE_SIZE };
  world.begin(kind, `${kind} ${pages} pages`, where, () => act(options), accepts);
}

export function unmap(world: World, target: Target): void {
  const { space, start, end } = target;
  world.begin("unmap", name("unmap", target), target, () =>
    munmap(space.mm, start * PAGE_SIZE, (end - start) * PAGE_SIZE),
  );
}

export function protect(world: World, target: Target, protection: number): void {
  const { space, start, end } = target;
  advise(world, "protect", `protect ${protection}`, target, async () => {
    try {
      await mprotect(space.mm, start * PAGE_SIZE, (end - start) * PAGE_SIZE, protection);
    } finally {
      // Like Linux, it has acted on what lies before a hole.
      space.protect(start, space.firstHole(start, end), protection);
    }
  });
}

export function giveUp(world: World, target: Target): void {
  const { space, start, end } = target;
  advise(world, "giveUp", "give up", target, async () => {
    const range = { start, end };
    space.givingUp.add(range);
    try {
      await dontNeed(space.mm, start * PAGE_SIZE, (end - start) * PAGE_SIZE);
    } finally {
      space.givingUp.delete(range);
    }
  });
}

export function fork(world: World, space: Space): void {
  world.begin("fork", `fork ${space.mm.id}`, { space, start: 0, end: ADDRESS_SPACE_PAGES }, async () => {
    try {
      world.adoptChild(await forkAddressSpace(space.mm), space);
    } finally {
      space.forked();
    }
  });
}

export function exit(world: World, space: Space): void {
  space.alive = false;
  const all = { space, start: 0, end: ADDRESS_SPACE_PAGES };
  world.begin("exit", `exit ${space.mm.id}`, all, () => exitAddressSpace(space.mm));
}
