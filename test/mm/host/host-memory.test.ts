// Host memory: a budget in pages, home frames for the pages of a mapping, a pool for the rest, and home frames that
// keep the bytes of pages which are on a device.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { PG_HAS_COPY, PG_HOME, PG_RETAINED } from "../../../src/mm/frames/frames.js";
import { DMA_PIN, pinPage } from "../../../src/mm/fault/gup.js";
import { HostMemory } from "../../../src/mm/host/host-memory.js";
import { Machine } from "../../../src/mm/machine.js";
import { dontNeed, mmap, munmap } from "../../../src/mm/space/mapping.js";
import { createMachine, frameAt, load, mapPages, memoryError, PAGE, SHARED, store } from "../../builders.js";
import { checkInvariants, type Holders } from "../../invariants.js";
import { TestDevice } from "../../test-device.js";

function heldOnce(frames: number[]): Holders {
  return { references: frames.map((frame) => [frame, 1] as const) };
}

describe("host memory", () => {
  test("hands out frames with one reference and no identity, and takes them back", () => {
    const { machine } = createMachine();
    const frame = machine.host.allocate(0, false);
    assert.notEqual(frame, 0);
    assert.equal(machine.frames.refcount(frame), 1);
    assert.equal(machine.host.charge.usage, 1);
    checkInvariants(machine, heldOnce([frame]));
    machine.put(frame);
    assert.equal(machine.host.charge.usage, 0);
    checkInvariants(machine);
  });

  test("hands out each frame once", () => {
    const { machine } = createMachine();
    const frames = Array.from({ length: 200 }, () => machine.host.allocate(0, false));
    assert.equal(new Set(frames).size, 200);
    checkInvariants(machine, heldOnce(frames));
  });

  test("gives zeros when zeros are asked for, also in a frame that was used before", () => {
    const { machine } = createMachine();
    const first = machine.host.allocate(0, true);
    assert.ok(machine.zones.bytes(first).every((byte) => byte === 0));
    machine.zones.bytes(first).fill(9);
    machine.put(first);
    const again = machine.host.allocate(0, true);
    assert.equal(again, first, "the test needs the frame that was used");
    assert.ok(machine.zones.bytes(again).every((byte) => byte === 0));
  });

  test("can be used up to the budget and not a page further", () => {
    const { machine } = createMachine({ hostPages: 3 });
    const frames = [1, 2, 3].map(() => machine.host.allocate(0, false));
    assert.ok(!frames.includes(0));
    assert.equal(machine.host.allocate(0, false), 0);
    checkInvariants(machine, heldOnce(frames));
    machine.put(frames[1]);
    assert.notEqual(machine.host.allocate(0, false), 0);
  });

  test("counts a budget that is no whole number of pages as less", () => {
    assert.equal(new Machine({ pageSize: PAGE, hostBudget: 3 * PAGE - 1 }).host.charge.limit, 2);
  });

  test("gives nothing when the allocation is refused, and keeps its charge as it was", () => {
    const { machine, environment } = createMachine();
    environment.refuse("frame");
    assert.equal(machine.host.allocate(0, false), 0);
    assert.equal(machine.host.charge.usage, 0);
    checkInvariants(machine);
  });

  test("keeps working at every page size beyond its first region", () => {
    for (const pageSize of [4096, 65_536, 1 << 21]) {
      const machine = new Machine({ pageSize, shared: SHARED });
      const home = machine.host.reserveHome(600);
      const bytes = machine.zones.run(home.first, 600);
      assert.equal(bytes.byteLength, 600 * pageSize);
      assert.ok(machine.host.reservedBytes >= 600 * pageSize);
      checkInvariants(machine);
    }
  });

  test("has a record of 32 bytes for each frame", () => {
    assert.equal(HostMemory.recordBytes, 32);
  });
});

describe("a home range", () => {
  test("is a contiguous run of frames that cost nothing until they are used", () => {
    const { machine } = createMachine({ hostPages: 4 });
    const home = machine.host.reserveHome(1000);
    assert.equal(home.pages, 1000);
    assert.equal(machine.host.charge.usage, 0);
    for (const i of [0, 1, 999]) assert.equal(machine.frames.flags(home.first + i) & PG_HOME, PG_HOME);
    checkInvariants(machine);
  });

  test("shares no frame with another, nor with the pool", () => {
    const { machine } = createMachine();
    const ranges = [10, 600, 1, 64].map((pages) => machine.host.reserveHome(pages));
    const frames = ranges.flatMap(({ first, pages }) => Array.from({ length: pages }, (_, i) => first + i));
    for (let i = 0; i < 100; i++) frames.push(machine.host.allocate(0, false));
    assert.equal(new Set(frames).size, frames.length);
  });

  test("lies within one region of memory, whatever was reserved before it", () => {
    const machine = new Machine({ pageSize: 4096, shared: SHARED });
    for (const pages of [500, 600, 33_349, 1335, 3000, 70_000]) {
      const home = machine.host.reserveHome(pages);
      assert.equal(machine.zones.of(home.first), machine.zones.of(home.first + pages - 1), `${pages} pages`);
      assert.equal(machine.zones.run(home.first, pages).byteLength, pages * 4096);
    }
  });

  test("larger than a region spans neighbouring regions, and goes back to them", () => {
    const machine = new Machine({ pageSize: 1 << 21, shared: SHARED });
    const pages = 4096;
    const home = machine.host.reserveHome(pages);
    assert.notEqual(machine.zones.of(home.first), machine.zones.of(home.first + pages - 1));
    const reserved = machine.host.reservedBytes;
    machine.host.releaseHome(home);
    assert.equal(machine.host.reserveHome(pages).first, home.first);
    assert.equal(machine.host.reservedBytes, reserved);
  });

  test("gives its pages neighbouring bytes", async () => {
    const { machine } = createMachine();
    const mm = machine.createAddressSpace();
    const page = await mapPages(mm, 3, { home: true });
    for (const i of [2, 0, 1]) await store(mm, page + i, i + 1);
    const bytes = machine.zones.run(frameAt(mm, page), 3);
    assert.deepEqual([bytes[0], bytes[PAGE], bytes[2 * PAGE]], [1, 2, 3]);
    checkInvariants(machine);
  });

  test("is passed over when the home frame is busy: the page goes to the pool", async () => {
    const { machine } = createMachine();
    const mm = machine.createAddressSpace();
    const page = await mapPages(mm, 1, { home: true });
    await store(mm, page, 1);
    const home = frameAt(mm, page);
    const pinned = await pinPage(mm, page, true, DMA_PIN);
    assert.equal(pinned, home);
    await dontNeed(mm, page * PAGE, PAGE);
    await store(mm, page, 2);
    assert.notEqual(frameAt(mm, page), home);
    assert.equal(machine.frames.flags(frameAt(mm, page)) & PG_HOME, 0);
    assert.equal(machine.zones.bytes(home)[0], 1, "the pinned frame keeps its bytes");
    checkInvariants(machine, { references: [[home, DMA_PIN]] });
    machine.put(home, DMA_PIN);
    checkInvariants(machine);
  });

  test("is free for its page as soon as that was given up, although the LRU batch still refers to the old one", async () => {
    const { machine } = createMachine();
    const mm = machine.createAddressSpace();
    const page = await mapPages(mm, 1, { home: true });
    await store(mm, page, 1);
    const home = frameAt(mm, page);
    assert.deepEqual(machine.lru.batched, [home]);
    await dontNeed(mm, page * PAGE, PAGE);
    await store(mm, page, 2);
    assert.equal(frameAt(mm, page), home);
    checkInvariants(machine);
  });

  test("is passed over when the environment says so", async () => {
    const { machine, environment } = createMachine();
    environment.homes = false;
    const mm = machine.createAddressSpace();
    const page = await mapPages(mm, 1, { home: true });
    await store(mm, page, 1);
    assert.equal(machine.frames.flags(frameAt(mm, page)) & PG_HOME, 0);
    checkInvariants(machine);
  });

  test("can be reserved again after it was released", () => {
    const { machine } = createMachine();
    const ranges = [100, 200, 100].map((pages) => machine.host.reserveHome(pages));
    for (const range of ranges) machine.host.releaseHome(range);
    assert.equal(machine.host.reserveHome(400).first, ranges[0].first);
    checkInvariants(machine);
  });

  test("that is released joins its free neighbours, in whatever order they go", () => {
    for (const order of [
      [0, 1, 2],
      [2, 1, 0],
      [0, 2, 1],
      [1, 0, 2],
    ]) {
      const { machine } = createMachine();
      const ranges = [100, 200, 100].map((pages) => machine.host.reserveHome(pages));
      for (const i of order) machine.host.releaseHome(ranges[i]);
      assert.equal(machine.host.reserveHome(400).first, ranges[0].first, `order ${order.join()}`);
    }
  });

  test("whose page is still pinned is kept until the pin goes", async () => {
    const { machine } = createMachine();
    const mm = machine.createAddressSpace();
    const home = machine.host.reserveHome(512);
    const page = (await mmap(mm, { length: 512 * PAGE, home })) / PAGE;
    await store(mm, page + 5, 5);
    const pinned = await pinPage(mm, page + 5, false, DMA_PIN);
    await munmap(mm, page * PAGE, 512 * PAGE);
    machine.host.releaseHome(home);
    assert.notEqual(machine.host.reserveHome(512).first, home.first);
    assert.equal(machine.zones.bytes(pinned)[0], 5);
    machine.put(pinned, DMA_PIN);
    machine.lru.drain();
    assert.equal(machine.host.reserveHome(512).first, home.first);
    checkInvariants(machine);
  });

  test("is refused when it has no pages, or no whole number of them", () => {
    const { machine } = createMachine();
    for (const pages of [0, -1, 1.5, NaN]) {
      assert.throws(
        () => machine.host.reserveHome(pages),
        memoryError("EINVAL", new RegExp(`home range of ${pages} pages`)),
      );
    }
    checkInvariants(machine);
  });
});

describe("a page that comes home", () => {
  for (const kind of ["private", "coherent"] as const) {
    test(`from ${kind} device memory takes its home frame again`, async () => {
      const { machine } = createMachine();
      const device = new TestDevice(machine, kind, 4);
      const mm = machine.createAddressSpace();
      const page = await mapPages(mm, 1, { home: true });
      await store(mm, page, 7);
      const home = frameAt(mm, page);
      await device.migrateToDevice(mm, page);
      assert.ok(device.holds(frameAt(mm, page)));
      await device.migrateToHost(mm, page);
      assert.equal(frameAt(mm, page), home);
      assert.equal(await load(mm, page), 7);
      checkInvariants(machine);
    });
  }
});

describe("a retained home frame", () => {
  async function scene(hostPages: number, pages: number, deviceFrames = pages) {
    const { machine, environment } = createMachine({ hostPages });
    const device = new TestDevice(machine, "private", deviceFrames);
    const mm = machine.createAddressSpace();
    const page = await mapPages(mm, pages, { home: true });
    const check = () =>
      checkInvariants(machine, { deviceBytes: (frame) => (device.holds(frame) ? device.bytesOf(frame) : null) });
    return { machine, environment, device, mm, page, check, retained: machine.host.retained };
  }

  test("keeps the bytes of a page while that is on a device, and stays charged", async () => {
    const { machine, device, mm, page, check, retained } = await scene(10, 1);
    await store(mm, page, 3);
    const home = frameAt(mm, page);
    await device.migrateToDevice(mm, page);
    const frame = frameAt(mm, page);
    assert.equal(machine.frames.flags(home) & PG_RETAINED, PG_RETAINED);
    assert.equal(machine.frames.flags(frame) & PG_HAS_COPY, PG_HAS_COPY);
    assert.equal(retained.of(frame), home);
    assert.equal(retained.hasCopy(frame), true);
    assert.equal(machine.zones.bytes(home)[0], 3);
    assert.equal(machine.host.charge.usage, 1);
    check();
  });

  test("is taken by its page without a copy when that comes back unwritten", async () => {
    const { machine, device, mm, page, check, retained } = await scene(10, 1);
    await store(mm, page, 3);
    await device.migrateToDevice(mm, page);
    const frame = frameAt(mm, page);
    const home = retained.of(frame);
    assert.equal(machine.host.allocate(home, false), home);
    assert.equal(machine.zones.bytes(home)[0], 3);
    assert.equal(retained.hasCopy(frame), false);
    assert.equal(machine.host.charge.usage, 1);
    machine.put(home);
    assert.equal(machine.host.charge.usage, 0);
    check();
  });

  test("is given up when the device writes the page, and its charge with it", async () => {
    const { machine, device, mm, page, check, retained } = await scene(10, 1);
    await store(mm, page, 3);
    await device.migrateToDevice(mm, page);
    device.write(frameAt(mm, page), 4);
    assert.equal(retained.hasCopy(frameAt(mm, page)), false);
    assert.equal(machine.host.charge.usage, 0);
    check();
    assert.equal(await load(mm, page), 4);
    check();
  });

  test("is given up when its page is unmapped", async () => {
    const { machine, device, mm, page, check, retained } = await scene(10, 2);
    await store(mm, page, 3);
    await device.migrateToDevice(mm, page);
    await munmap(mm, page * PAGE, PAGE);
    assert.equal(retained.list.length, 0);
    assert.equal(machine.host.charge.usage, 0);
    assert.equal(device.freeFrames, 2);
    check();
  });

  test("is given up when its home range is released", async () => {
    const { machine, device, mm, page, check, retained } = await scene(10, 1);
    await store(mm, page, 3);
    await device.migrateToDevice(mm, page);
    const frame = frameAt(mm, page);
    machine.frames.get(frame);
    const { home } = mm.vmas[0];
    assert.ok(home !== null);
    await munmap(mm, page * PAGE, PAGE);
    assert.equal(retained.list.length, 1, "the device page is still held");
    machine.host.releaseHome(home);
    assert.equal(retained.list.length, 0);
    assert.equal(retained.hasCopy(frame), false);
    machine.put(frame);
    check();
  });

  test("gives way when the host budget is needed, the one retained longest first", async () => {
    const { machine, device, mm, page, check, retained } = await scene(3, 4);
    for (const i of [0, 1, 2]) {
      await store(mm, page + i, i + 1);
      await device.migrateToDevice(mm, page + i);
    }
    const frames = [0, 1, 2].map((i) => frameAt(mm, page + i));
    assert.deepEqual(
      frames.map((frame) => retained.hasCopy(frame)),
      [true, true, true],
    );
    await store(mm, page + 3, 4);
    assert.deepEqual(
      frames.map((frame) => retained.hasCopy(frame)),
      [false, true, true],
    );
    const other = machine.host.allocate(0, false);
    assert.deepEqual(
      frames.map((frame) => retained.hasCopy(frame)),
      [false, false, true],
    );
    assert.equal(retained.reclaimed, 2);
    assert.equal(machine.host.charge.usage, 3);
    machine.put(other);
    check();
  });

  test("gives way to its own page when that comes home within a full budget", async () => {
    const { device, mm, page, check, retained } = await scene(1, 1);
    await store(mm, page, 5);
    await device.migrateToDevice(mm, page);
    assert.equal(await load(mm, page), 5);
    assert.equal(retained.reclaimed, 0);
    check();
  });

  test("is not left of a page that goes to another device, whose bytes may change there", async () => {
    const { machine, device, mm, page, check, retained } = await scene(10, 1);
    const other = new TestDevice(machine, "private", 1);
    await store(mm, page, 6);
    await device.migrateToDevice(mm, page);
    await device.migrateTo(other, mm, page);
    assert.ok(other.holds(frameAt(mm, page)));
    assert.equal(retained.list.length, 0);
    check();
    assert.equal(await load(mm, page), 6);
  });

  test("is not made of a frame of the pool", async () => {
    const { environment, machine, device, mm, page, check, retained } = await scene(10, 1);
    environment.homes = false;
    await store(mm, page, 6);
    await device.migrateToDevice(mm, page);
    assert.equal(retained.list.length, 0);
    assert.equal(machine.host.charge.usage, 0);
    check();
  });

  test("is not made of a page that went to coherent memory, which the CPU writes unheard", async () => {
    const { machine, mm, page, check, retained } = await scene(10, 1);
    const coherent = new TestDevice(machine, "coherent", 1);
    await store(mm, page, 6);
    await coherent.migrateToDevice(mm, page);
    assert.equal(retained.list.length, 0);
    await store(mm, page, 7);
    await coherent.migrateToHost(mm, page);
    assert.equal(await load(mm, page), 7);
    check();
  });

  test("is not made of a page that was unmapped while it was copied", async () => {
    const { machine, device, mm, page, check, retained } = await scene(10, 1);
    await store(mm, page, 6);
    device.pause = async () => {
      device.pause = null;
      await dontNeed(mm, page * PAGE, PAGE);
    };
    await device.migrateToDevice(mm, page);
    assert.equal(retained.list.length, 0);
    assert.equal(machine.host.charge.usage, 0);
    assert.equal(device.freeFrames, 1);
    check();
  });
});

describe("a host budget that is exhausted", () => {
  test("is ENOMEM for a store, which leaves the hole as it was", async () => {
    const { machine } = createMachine({ hostPages: 2 });
    const mm = machine.createAddressSpace();
    const page = await mapPages(mm, 3, { home: true });
    await store(mm, page, 1);
    await store(mm, page + 1, 2);
    await assert.rejects(store(mm, page + 2, 3), memoryError("ENOMEM", /page/));
    assert.equal(mm.pageTable.read(page + 2), 0);
    checkInvariants(machine);
    await munmap(mm, page * PAGE, PAGE);
    await store(mm, page + 2, 3);
    assert.equal(await load(mm, page + 2), 3);
    checkInvariants(machine);
  });

  test("leaves a page on its device when that cannot come home, with its bytes", async () => {
    const { machine } = createMachine({ hostPages: 2 });
    const device = new TestDevice(machine, "private", 1);
    const mm = machine.createAddressSpace();
    const page = await mapPages(mm, 3);
    await store(mm, page, 1);
    await device.migrateToDevice(mm, page);
    await store(mm, page + 1, 2);
    await store(mm, page + 2, 3);
    assert.deepEqual(await device.migrateToHost(mm, page), [false]);
    checkInvariants(machine);
    await munmap(mm, (page + 1) * PAGE, PAGE);
    assert.equal(await load(mm, page), 1);
    checkInvariants(machine);
  });
});
