/** Pins, short and for long; stores through them; letting go. */

import { pinLongTerm } from "../../../../src/access/long-term-pin.js";
import { PTE_EXCLUSIVE } from "../../../../src/mm/table/entry.js";
import { MemoryError } from "../../../../src/mm/errors.js";
import { PG_DIRTY } from "../../../../src/mm/frames/frames.js";
import { DMA_PIN, pinPage, SHORT_REFERENCE, tryPinPage } from "../../../../src/mm/fault/gup.js";
import { PROT_READ } from "../../../../src/mm/space/vma.js";
import { ZONE_COHERENT } from "../../../../src/mm/frames/zone.js";
import { migrateDeviceCoherentPage } from "../../../../src/migrate/device-range.js";
import { fillPage, valueOf } from "../page-contents.js";
import type { HeldPin, Space } from "../space.js";
import type { World } from "../world.js";
import { access, faultError, name, READ_WRITE, type Target } from "./target.js";

/** Pins a page for short or for DMA, faulting as often as it takes. */
export function pin(world: World, { space, start }: Target, write: boolean, references: number): void {
  const target = { space, start, end: start + 1 };
  const what = `pin for ${write ? "writing" : "reading"} ${references === DMA_PIN ? "by DMA " : ""}of`;
  access(world, "pin", what, target, write ? READ_WRITE : PROT_READ, async () => {
    const frame = await pinPage(space.mm, start, write, references);
    if (frame < 0) throw faultError(-1 - frame, start);
    hold(world, space, start, frame, write, references);
  });
}

/** The same if it can be had without a fault. */
export function tryPin(world: World, { space, start }: Target, write: boolean, references: number): void {
  const frame = tryPinPage(space.mm, start, write, references);
  if (frame < 0) return;
  world.did("tryPin");
  if (!space.allows(start, start + 1, write ? READ_WRITE : PROT_READ)) {
    world.report(`${space.name(start)} was pinned although its mapping forbids it`);
  }
  hold(world, space, start, frame, write, references);
}

/** Pins a page for long: one of a coherent device goes to host memory first, unless somebody else uses it. */
export function pinForLong(world: World, { space, start }: Target, write: boolean): void {
  const target = { space, start, end: start + 1 };
  const protection = write ? READ_WRITE : PROT_READ;
  const isAllowed = space.allows(start, start + 1, protection);
  world.begin(
    "pinLongTerm",
    name(`pin for long for ${write ? "writing" : "reading"} of`, target),
    target,
    async () => {
      const [frame] = await pinLongTerm(space.mm, start, start + 1, write);
      if (frame === undefined) throw new MemoryError("EFAULT", `page ${start} may not be accessed`);
      if (world.machine.zones.of(frame).kind === ZONE_COHERENT)
        world.report(`${space.name(start)} is pinned for long in device memory`);
      hold(world, space, start, frame, write, DMA_PIN);
    },
    (error) => (isAllowed ? error === null || error.code === "EBUSY" : error?.code === "EFAULT"),
  );
}

/** Stores through a pin, wherever its page is mapped by now. */
export function storeThroughPin(world: World, pinned: HeldPin): void {
  if (!pinned.write) return;
  world.did("storeThroughPin");
  const { page, frame, behind } = pinned;
  const value = world.newValue();
  fillPage(world.machine.zones.bytes(frame), value);
  if (behind !== null) {
    if (world.isInUse(behind.object)) behind.object.write(behind.index, value);
    return;
  }
  // After a fork the page of a short pin is the child's as well.
  for (const each of world.spaces) if (each.names(page, frame)) each.shadow.write(page, value);
  for (const other of world.pins) if (other.frame === frame) other.value = value;
}

/** Lets a pin go; the page of a coherent device that it held goes home first, if it is a short one. */
export function release(world: World, pinned: HeldPin, bringHome: boolean): void {
  const { frame, references, space } = pinned;
  const isCoherent = world.machine.zones.of(frame).kind === ZONE_COHERENT;
  world.did("release");
  if (!bringHome || !isCoherent || references !== SHORT_REFERENCE) {
    world.dropPin(pinned);
    return;
  }
  space.pins.delete(pinned);
  if (pinned.write) world.machine.frames.setFlags(frame, PG_DIRTY);
  const nowhere = { space: null, start: 0, end: 0 };
  world.begin(
    "bringHome",
    `bring ${space.name(pinned.page)} home from its coherent device`,
    nowhere,
    async (operation) => {
      operation.held = [frame];
      await migrateDeviceCoherentPage(world.machine, frame);
    },
    (error) => error === null || error.code === "EBUSY",
  );
}

function hold(world: World, space: Space, page: number, frame: number, write: boolean, references: number): void {
  const value = valueOf(world.machine.zones.bytes(frame));
  const orphaned = !space.names(page, frame);
  if (!orphaned && !space.shadow.agrees(page, value)) {
    world.report(`the pin of ${space.name(page)} shows ${value} instead of ${space.shadow.expected(page)}`);
  }
  const isObjects = frame !== 0 && !world.machine.frames.isAnonymous(frame);
  const behind = isObjects ? space.shadow.behind(page) : null;
  // A short pin does not unshare its page: who writes it first gets another one.
  const shared = references !== DMA_PIN && (space.mm.pageTable.read(page) & PTE_EXCLUSIVE) === 0;
  space.pins.add({ space, page, frame, references, write, orphaned, shared, behind, value });
}
