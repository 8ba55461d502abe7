/** Paging out, writing behind the mappings of an object, clearing the soft-dirty bits. */

import { MemoryError } from "../../../../src/mm/errors.js";
import { ADDRESS_SPACE_PAGES } from "../../../../src/mm/table/page-table.js";
import { pageOut as pageOutRange } from "../../../../src/mm/swap/pageout.js";
import { clearSoftDirty as clearBits } from "../../../../src/mm/space/soft-dirty.js";
import { fillPage } from "../page-contents.js";
import type { SharedObject } from "../shared-object.js";
import type { Space } from "../space.js";
import { PAGE_SIZE, type World } from "../world.js";
import { advise, type Target } from "./target.js";

export function pageOut(world: World, target: Target): void {
  const { space, start, end } = target;
  advise(world, "pageOut", "page out", target, () =>
    pageOutRange(space.mm, start * PAGE_SIZE, (end - start) * PAGE_SIZE),
  );
}

/** Replaces a page of an object, as `write` on its file does. */
export function writeObject(world: World, object: SharedObject, index: number): void {
  if (!world.isInUse(object)) return;
  const value = world.newValue();
  const bytes = new Uint8Array(PAGE_SIZE);
  fillPage(bytes, value);
  try {
    object.cache.write(index, bytes);
  } catch (error) {
    const isExpected =
      error instanceof MemoryError && (error.code === "EBUSY" || (error.code === "ENOMEM" && world.isShort));
    if (!isExpected) throw error;
    return;
  }
  object.write(index, value);
  world.did("writeObject");
}

export function clearSoftDirty(world: World, space: Space): void {
  const all = { space, start: 0, end: ADDRESS_SPACE_PAGES };
  world.begin("clearSoftDirty", `clear soft-dirty of address space ${space.mm.id}`, all, () => clearBits(space.mm));
}
