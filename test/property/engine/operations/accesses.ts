/** Loads and stores of the CPU and of devices; exclusive access of a device. */

import { touch } from "../../../../src/access/cpu.js";
import type { AttachedDevice } from "../../../../src/device/attached-device.js";
import { deviceRead, deviceWrite } from "../../../../src/device/device-access.js";
import { letGoOfExclusivePages, makeDeviceExclusiveRange } from "../../../../src/mm/fault/device-exclusive.js";
import { isDeviceExclusiveEntry, PTE_FRAME_SHIFT } from "../../../../src/mm/table/entry.js";
import { MemoryError } from "../../../../src/mm/errors.js";
import { FAULT_DONE, FAULT_WRITE, faultIn } from "../../../../src/mm/fault/fault.js";
import { PROT_READ } from "../../../../src/mm/space/vma.js";
import { fillPage, PagesToStore, valueOf } from "../page-contents.js";
import type { Space } from "../space.js";
import { PAGE_SIZE, type World } from "../world.js";
import { access, faultError, READ_WRITE, type Target } from "./target.js";

/** The CPU stores into each page, without holding it. */
export function store(world: World, target: Target): void {
  const { space, start, end } = target;
  access(world, "store", "store to", target, READ_WRITE, async () => {
    for (let page = start; page < end; page++) {
      await reach(space, page, true, (frame) => {
        const value = world.newValue();
        fillPage(world.machine.zones.bytes(frame), value);
        space.stored(page, value);
      });
    }
  });
}

/** The CPU loads each page, without holding it. */
export function load(world: World, target: Target): void {
  const { space, start, end } = target;
  access(world, "load", "load", target, PROT_READ, async () => {
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

export function deviceStore(world: World, device: AttachedDevice, target: Target): void {
  const { space, start, end } = target;
  access(world, "deviceStore", `store by ${device.driver.kind} device to`, target, READ_WRITE, async () => {
    const values = Array.from({ length: end - start }, () => world.newValue());
    const pages = PagesToStore.storing(values, PAGE_SIZE, (i) => space.stored(start + i, values[i]));
    await deviceWrite(device, space.mm, start, pages);
  });
}

export function deviceLoad(world: World, device: AttachedDevice, target: Target): void {
  const { space, start, end } = target;
  access(world, "deviceLoad", `load by ${device.driver.kind} device of`, target, PROT_READ, async () => {
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

/**
 * A device takes pages for itself, stores into each while nobody else can reach it, and unlocks them; the next access of
 * the CPU takes them back. Pages of objects cannot be had, which is no failure.
 */
export function accessExclusively(world: World, device: AttachedDevice, target: Target): void {
  const { space, start, end } = target;
  access(world, "exclusive", "exclusive access to", target, READ_WRITE, async (operation) => {
    const { machine, environment } = world;
    const frames = new Int32Array(end - start).fill(-1);
    operation.held = frames;
    const referenced = await makeDeviceExclusiveRange(space.mm, start, frames, device.owner);
    operation.hasLocked = true;
    await environment.sleep(1);
    for (const [i, frame] of frames.entries()) {
      const word = space.mm.pageTable.read(start + i);
      if (frame < 0 || !isDeviceExclusiveEntry(word) || word >>> PTE_FRAME_SHIFT !== frame) continue;
      const value = world.newValue();
      fillPage(machine.zones.bytes(frame), value);
      space.shadow.write(start + i, value);
      world.exclusivePages++;
    }
    letGoOfExclusivePages(space.mm, start, frames);
    operation.held = [];
    if (referenced < 0) throw faultError(-1 - referenced, start);
    if (referenced < frames.length) throw new MemoryError("EFAULT", `page ${start + referenced} may not be accessed`);
  });
}

/** Calls `use` at the moment at which the CPU reaches the page, with its frame. */
async function reach({ mm }: Space, page: number, write: boolean, use: (frame: number) => void): Promise<void> {
  for (;;) {
    const frame = touch(mm, page, write);
    if (frame >= 0) return use(frame);
    const code = await faultIn(mm, page, write ? FAULT_WRITE : 0);
    if (code !== FAULT_DONE) throw faultError(code, page);
  }
}
