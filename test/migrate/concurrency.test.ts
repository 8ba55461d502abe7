// Many at once: programs that store, load, give up and protect their own pages while others migrate everybody's, under
// a seeded scheduler that decides who goes on. The whole machine is checked after every step.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { AddressSpace } from "../../src/mm/space/address-space.js";
import { DMA_PIN, pinPage, SHORT_REFERENCE } from "../../src/mm/fault/gup.js";
import { dontNeed, exitAddressSpace, mprotect } from "../../src/mm/space/mapping.js";
import { PROT_READ, PROT_WRITE } from "../../src/mm/space/vma.js";
import { createMachine, load, mapPages, PAGE, store } from "../builders.js";
import { SeededEnvironment } from "../environments.js";
import { checkInvariants } from "../invariants.js";
import { TestDevice } from "../test-device.js";
import { setting } from "../setting.js";

const PAGES = 12;
const PROGRAMS = 3;
const OPERATIONS = 25;

/** One run; how many pages moved, to show that the test is about something. */
async function run(seed: number, hostPages: number): Promise<number> {
  const environment = new SeededEnvironment(seed);
  const { random } = environment;
  const { machine } = createMachine({ environment, hostPages });
  const devices = [
    new TestDevice(machine, "private", 5),
    new TestDevice(machine, "coherent", 5),
    new TestDevice(machine, "private", 9),
  ];
  for (const device of devices) device.pause = () => environment.sleep(1);
  const spaces = [machine.createAddressSpace(), machine.createAddressSpace()];
  const bases = await Promise.all(spaces.map((mm, i) => environment.settle(mapPages(mm, PAGES, { home: i === 0 }))));
  const pins: [frame: number, references: number][] = [];
  let moved = 0;

  const below = (n: number) => Math.floor(random() * n);
  const pick = <T>(from: readonly T[]): T => from[below(from.length)];

  /** Owns every third page of an address space, so that it alone decides what they are worth. */
  const program = async (mm: AddressSpace, base: number, share: number) => {
    const worth = new Map<number, number>();
    const own = Array.from({ length: PAGES }, (_, i) => i).filter((i) => i % PROGRAMS === share);
    for (let i = 0; i < OPERATIONS; i++) {
      const page = base + pick(own);
      const action = random();
      if (action < 0.4) {
        const byte = 1 + below(250);
        await store(mm, page, byte);
        worth.set(page, byte);
      } else if (action < 0.75)
        assert.equal(await load(mm, page), worth.get(page) ?? 0, `page ${page - base}, seed ${seed}`);
      else if (action < 0.82) {
        await dontNeed(mm, page * PAGE, PAGE);
        worth.delete(page);
      } else if (action < 0.9) {
        await mprotect(mm, page * PAGE, PAGE, PROT_READ);
        await mprotect(mm, page * PAGE, PAGE, PROT_READ | PROT_WRITE);
      } else {
        const references = random() < 0.5 ? DMA_PIN : SHORT_REFERENCE;
        const frame = await pinPage(mm, page, false, references);
        const pin: [number, number] = [frame, references];
        pins.push(pin);
        await environment.sleep(1);
        pins.splice(pins.indexOf(pin), 1);
        machine.put(frame, references);
      }
      await environment.sleep(1);
    }
    for (const i of own)
      assert.equal(await load(mm, base + i), worth.get(base + i) ?? 0, `page ${i} at the end, seed ${seed}`);
  };

  const mover = async () => {
    for (let i = 0; i < OPERATIONS; i++) {
      const at = below(2);
      const device = pick(devices);
      const first = below(PAGES);
      const count = 1 + below(PAGES - first);
      const action = random();
      const page = bases[at] + first;
      let outcome: boolean[];
      // Programs split mappings, so a range may cross a VMA's end; a driver goes VMA by VMA.
      const end = spaces[at].vmaAt(page)?.end ?? page;
      const within = Math.min(count, end - page);
      if (action < 0.5) outcome = await whileMapped(() => device.migrateToDevice(spaces[at], page, within));
      else if (action < 0.75) outcome = await whileMapped(() => device.migrateToHost(spaces[at], page, within));
      else outcome = await device.evict();
      moved += outcome.filter(Boolean).length;
      await environment.sleep(1);
    }
  };

  const check = () =>
    checkInvariants(machine, {
      inFlight: devices.flatMap((device) => [...device.inFlight]),
      references: [...pins, ...devices.flatMap((device) => [...device.faulting])],
      busy: true,
    });
  const all = [
    ...spaces.flatMap((mm, at) => Array.from({ length: PROGRAMS }, (_, share) => program(mm, bases[at], share))),
    mover(),
    mover(),
  ];
  await environment.settle(Promise.all(all), check);
  await environment.settle(Promise.all(spaces.map((mm) => exitAddressSpace(mm))));
  machine.lru.drain();
  checkInvariants(machine);
  assert.equal(machine.host.charge.usage, 0);
  for (const device of devices) assert.equal(device.freeFrames, device.zone.frames);
  return moved;
}

/** The mapping may be split between the choice of a range and the mmap lock; then nothing moves. */
async function whileMapped(move: () => Promise<boolean[]>): Promise<boolean[]> {
  try {
    return await move();
  } catch (error) {
    assert.match(String(error), /are not within the VMA/);
    return [];
  }
}

describe("programs and migrations at once", () => {
  const first = Number(setting("SEED") ?? 1);
  const seeds = setting("SEED") === undefined ? 12 : 1;
  for (let seed = first; seed < first + seeds; seed++) {
    test(`lose no byte and leak nothing (SEED=${seed})`, async () => {
      const moved = await run(seed, 60);
      assert.ok(moved > 20, `only ${moved} pages moved`);
    });
  }
});
