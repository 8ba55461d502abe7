/**
 * What programs do to a world. Each operation is begun and enters what it stores into the truth at the moment at which it
 * stores it.
 */

import type { AttachedDevice } from "../../../src/device/attached-device.js";
import { deviceRead, deviceWrite } from "../../../src/device/device-access.js";
import { migrateToDevice } from "../../../src/device/migrate-to-device.js";
import { evictFrames, migrateToHost } from "../../../src/device/migrate-to-host.js";
import {
  PTE_EXCLUSIVE,
  PTE_FRAME_SHIFT,
  PTE_MAKE_DIRTY,
  PTE_NO_ACCESS,
  PTE_PRESENT,
  PTE_WRITE,
  PTE_YOUNG,
} from "../../../src/mm/entry.js";
import { MemoryError } from "../../../src/mm/errors.js";
import { FAULT_DONE, FAULT_OOM, FAULT_WRITE, faultIn } from "../../../src/mm/fault.js";
import { forkAddressSpace } from "../../../src/mm/fork.js";
import { DMA_PIN, pinPage, SHORT_REFERENCE, tryPinPage } from "../../../src/mm/gup.js";
import { dontNeed, exitAddressSpace, mmap, mprotect, munmap } from "../../../src/mm/mapping.js";
import { ADDRESS_SPACE_PAGES } from "../../../src/mm/page-table.js";
import { PROT_READ, PROT_WRITE } from "../../../src/mm/vma.js";
import { ZONE_COHERENT } from "../../../src/mm/zone.js";
import { migrateDeviceCoherentPage } from "../../../src/migrate/device-range.js";
import { fillPage, PagesToStore, valueOf } from "./page-contents.js";
import type { HeldPin, Space } from "./space.js";
import { PAGE_SIZE, type World } from "./world.js";

/** Pages of an address space. */
export interface Target {
  readonly space: Space;
  readonly start: number;
  readonly end: number;
}

const READ_WRITE = PROT_READ | PROT_WRITE;

/** Maps pages, with home frames or without; at a given place what is mapped there goes. */
export function map(world: World, space: Space, pages: number, homes: boolean, at: number | null): void {
  const home = homes ? world.machine.host.reserveHome(pages) : null;
  // A mapping without a place lands in a gap, where nobody has anything to lose.
  const where = { space, start: at ?? 0, end: at === null ? 0 : at + pages };
  world.begin(`map ${pages} pages`, where, async () => {
    const options = {
      length: pages * PAGE_SIZE,
      ...(at === null ? {} : { address: at * PAGE_SIZE }),
      ...(home === null ? {} : { home }),
    };
    try {
      const start = (await mmap(space.mm, options)) / PAGE_SIZE;
      space.mapped(start, pages, READ_WRITE);
      world.mappings.push({ space, start, pages, home });
    } catch (error) {
      if (home !== null) world.machine.host.releaseHome(home);
      throw error;
    }
  });
}

export function unmap(world: World, { space, start, end }: Target): void {
  world.begin(name("unmap", { space, start, end }), { space, start, end }, () =>
    munmap(space.mm, start * PAGE_SIZE, (end - start) * PAGE_SIZE),
  );
}

export function protect(world: World, { space, start, end }: Target, protection: number): void {
  const isWhole = space.firstHole(start, end) === end;
  world.begin(
    name(`protect ${protection}`, { space, start, end }),
    { space, start, end },
    async () => {
      try {
        await mprotect(space.mm, start * PAGE_SIZE, (end - start) * PAGE_SIZE, protection);
      } finally {
        // Like Linux, it has acted on what lies before a hole.
        space.protect(start, space.firstHole(start, end), protection);
      }
    },
    (error) => (isWhole ? error === null : error?.code === "ENOMEM"),
  );
}

export function giveUp(world: World, { space, start, end }: Target): void {
  const isWhole = space.firstHole(start, end) === end;
  world.begin(
    name("give up", { space, start, end }),
    { space, start, end },
    async () => {
      const range = { start, end };
      space.givingUp.add(range);
      try {
        await dontNeed(space.mm, start * PAGE_SIZE, (end - start) * PAGE_SIZE);
      } finally {
        space.givingUp.delete(range);
      }
    },
    (error) => (isWhole ? error === null : error?.code === "ENOMEM"),
  );
}

/** The CPU stores into each page, without holding it. */
export function store(world: World, { space, start, end }: Target): void {
  access(world, "store to", { space, start, end }, READ_WRITE, async () => {
    for (let page = start; page < end; page++) {
      await reach(space, page, true, (frame) => {
        const value = world.newValue();
        fillPage(world.machine.zones.bytes(frame), value);
        space.shadow.write(page, value);
      });
    }
  });
}

/** The CPU loads each page, without holding it. */
export function load(world: World, { space, start, end }: Target): void {
  access(world, "load", { space, start, end }, PROT_READ, async () => {
    for (let page = start; page < end; page++) {
      await reach(space, page, false, (frame) => {
        const value = valueOf(world.machine.zones.bytes(frame));
        if (!space.shadow.agrees(page, value)) {
          world.report(`load of ${space.name(page)} gave ${value} instead of ${space.shadow.expected(page)}`);
        }
      });
    }
  });
}

export function deviceStore(world: World, device: AttachedDevice, { space, start, end }: Target): void {
  access(world, `store by ${device.driver.kind} device to`, { space, start, end }, READ_WRITE, async () => {
    const values = Array.from({ length: end - start }, () => world.newValue());
    const pages = PagesToStore.storing(values, PAGE_SIZE, (i) => space.shadow.write(start + i, values[i]));
    await deviceWrite(device, space.mm, start, pages);
  });
}

export function deviceLoad(world: World, device: AttachedDevice, { space, start, end }: Target): void {
  access(world, `load by ${device.driver.kind} device of`, { space, start, end }, PROT_READ, async () => {
    const reader = space.shadow.beginReading(start, end);
    try {
      const bytes = await deviceRead(device, space.mm, start, end);
      for (let page = start; page < end; page++) {
        const value = valueOf(bytes.subarray((page - start) * PAGE_SIZE, (page - start + 1) * PAGE_SIZE));
        if (!reader.allows(page, value)) {
          world.report(`a device loaded ${value} from ${space.name(page)} instead of ${reader.expected(page)}`);
        }
      }
    } finally {
      space.shadow.endReading(reader);
    }
  });
}

export function toDevice(world: World, device: AttachedDevice, { space, start, end }: Target): void {
  access(world, `migrate to ${device.driver.kind} device`, { space, start, end }, 0, async () => {
    await migrateToDevice(device, space.mm, start, end, "prefetch");
  });
}

export function toHost(world: World, device: AttachedDevice, { space, start, end }: Target): void {
  access(world, `migrate to host from ${device.driver.kind} device`, { space, start, end }, 0, async () => {
    await migrateToHost(device, space.mm, start, end, "prefetch");
  });
}

export function evict(world: World, device: AttachedDevice, first: number, count: number): void {
  const what = `evict ${count} frames from ${first} of ${device.driver.kind} device`;
  world.begin(what, { space: null, start: 0, end: 0 }, async () => {
    await evictFrames(device, first, count);
  });
}

/** Pins a page for short or for DMA, faulting as often as it takes. */
export function pin(world: World, { space, start }: Target, write: boolean, references: number): void {
  const target = { space, start, end: start + 1 };
  const what = `pin for ${write ? "writing" : "reading"} ${references === DMA_PIN ? "by DMA " : ""}of`;
  access(world, what, target, write ? READ_WRITE : PROT_READ, async () => {
    const frame = await pinPage(space.mm, start, write, references);
    if (frame < 0) throw faultError(-1 - frame, start);
    hold(world, space, start, frame, write, references);
  });
}

/** The same if it can be had without a fault. */
export function tryPin(world: World, { space, start }: Target, write: boolean, references: number): void {
  const frame = tryPinPage(space.mm, start, write, references);
  if (frame < 0) return;
  if (!space.allows(start, start + 1, write ? READ_WRITE : PROT_READ)) {
    world.report(`${space.name(start)} was pinned although its mapping forbids it`);
  }
  hold(world, space, start, frame, write, references);
}

/** Stores through a pin, wherever its page is mapped by now. */
export function storeThroughPin(world: World, pinned: HeldPin): void {
  if (!pinned.write) return;
  const { page, frame } = pinned;
  const value = world.newValue();
  fillPage(world.machine.zones.bytes(frame), value);
  // After a fork the page of a short pin is the child's as well.
  for (const each of world.spaces) if (each.names(page, frame)) each.shadow.write(page, value);
  for (const other of world.pins) if (other.frame === frame) other.value = value;
}

/** Lets a pin go; the page of a coherent device that it held goes home first, if it is a short one. */
export function release(world: World, pinned: HeldPin, bringHome: boolean): void {
  const { frame, references, space } = pinned;
  const isCoherent = world.machine.zones.of(frame).kind === ZONE_COHERENT;
  if (!bringHome || !isCoherent || references !== SHORT_REFERENCE) {
    world.dropPin(pinned);
    return;
  }
  space.pins.delete(pinned);
  const nowhere = { space: null, start: 0, end: 0 };
  world.begin(
    `bring ${space.name(pinned.page)} home from its coherent device`,
    nowhere,
    async (operation) => {
      world.lent.set(operation, frame);
      await migrateDeviceCoherentPage(world.machine, frame);
    },
    (error) => error === null || error.code === "EBUSY",
  );
}

export function fork(world: World, space: Space): void {
  world.begin(`fork ${space.mm.id}`, { space, start: 0, end: ADDRESS_SPACE_PAGES }, async () => {
    try {
      world.adoptChild(await forkAddressSpace(space.mm), space);
    } finally {
      space.forked();
    }
  });
}

export function exit(world: World, space: Space): void {
  space.alive = false;
  world.begin(`exit ${space.mm.id}`, { space, start: 0, end: ADDRESS_SPACE_PAGES }, () => exitAddressSpace(space.mm));
}

/** An access to a range fails exactly when one of its pages forbids it, or is not mapped at all. */
function access(world: World, what: string, target: Target, protection: number, act: () => Promise<void>): void {
  const isAllowed = target.space.allows(target.start, target.end, protection);
  world.begin(name(what, target), target, act, (error) =>
    isAllowed ? error === null : error?.code === "EFAULT" || error?.code === "EPERM",
  );
}

/** Calls `use` at the moment at which the CPU reaches the page, with its frame. */
async function reach({ mm }: Space, page: number, write: boolean, use: (frame: number) => void): Promise<void> {
  for (;;) {
    const word = mm.pageTable.read(page);
    const accessible = (word & (PTE_PRESENT | PTE_NO_ACCESS)) === PTE_PRESENT;
    if (accessible && (!write || (word & PTE_WRITE) !== 0)) {
      mm.pageTable.exchange(page, word | PTE_YOUNG | (write ? PTE_MAKE_DIRTY : 0));
      use(word >>> PTE_FRAME_SHIFT);
      return;
    }
    const code = await faultIn(mm, page, write ? FAULT_WRITE : 0);
    if (code !== FAULT_DONE) throw faultError(code, page);
  }
}

function faultError(code: number, page: number): MemoryError {
  return code === FAULT_OOM
    ? new MemoryError("ENOMEM", `no memory for page ${page}`)
    : new MemoryError("EFAULT", `page ${page} may not be accessed`);
}

function hold(world: World, space: Space, page: number, frame: number, write: boolean, references: number): void {
  const value = valueOf(world.machine.zones.bytes(frame));
  const orphaned = !space.names(page, frame);
  if (!orphaned && !space.shadow.agrees(page, value)) {
    world.report(`the pin of ${space.name(page)} shows ${value} instead of ${space.shadow.expected(page)}`);
  }
  // A short pin does not unshare its page: who writes it first gets another one.
  const shared = references !== DMA_PIN && (space.mm.pageTable.read(page) & PTE_EXCLUSIVE) === 0;
  space.pins.add({ space, page, frame, references, write, orphaned, shared, value });
}

function name(what: string, { space, start, end }: Target): string {
  return `${what} pages ${start} to ${end} of address space ${space.mm.id}`;
}
