// Files and shared memory: pages that belong to an object, whoever maps them, and come from it when they are needed.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  PTE_DIRTY,
  PTE_EXCLUSIVE,
  PTE_PRESENT,
  PTE_SOFT_DIRTY,
  PTE_WRITE,
  PTE_YOUNG,
} from "../../../src/mm/table/entry.js";
import { createPageCache } from "../../../src/mm/stores.js";
import { FAULT_DONE, FAULT_OOM, FAULT_SIGBUS, faultIn } from "../../../src/mm/fault/fault.js";
import { PG_DIRTY } from "../../../src/mm/frames/frames.js";
import { DMA_PIN, pinPage, SHORT_REFERENCE } from "../../../src/mm/fault/gup.js";
import { HMM_FAULT, hmmRangeFault } from "../../../src/mm/fault/hmm.js";
import type { Machine } from "../../../src/mm/machine.js";
import { dontNeed, exitAddressSpace, mmap, munmap } from "../../../src/mm/space/mapping.js";
import type { FileBacking } from "../../../src/mm/file/page-cache.js";
import { pageOut } from "../../../src/mm/swap/pageout.js";
import { clearSoftDirty } from "../../../src/mm/space/soft-dirty.js";
import {
  createMachine,
  everybodyWaits,
  frameAt,
  Gate,
  load,
  mapPages,
  memoryError,
  PAGE,
  store,
  TestSwapStore,
  word,
} from "../../builders.js";
import { checkInvariants } from "../../invariants.js";
import { Listener, TestDevice } from "../../test-device.js";

/** A file whose page `i` is filled with `i + 1`. */
class TestFile implements FileBacking {
  readonly reads: number[] = [];
  pause: (() => Promise<void>) | null = null;
  fails = false;

  async read(index: number, into: Uint8Array): Promise<void> {
    this.reads.push(index);
    await this.pause?.();
    if (this.fails) throw new Error(`page ${index} of the file cannot be read`);
    into.fill(index + 1);
  }
}

async function mapFile(pages = 4, options: { shared?: boolean; swap?: TestSwapStore; hostPages?: number } = {}) {
  const { shared = true, swap = new TestSwapStore(), hostPages = Infinity } = options;
  const { machine, environment } = createMachine({ swap, hostPages });
  const backing = new TestFile();
  const file = createPageCache(machine, pages, backing);
  const mm = machine.createAddressSpace();
  const page = await mapPages(mm, pages, { file, shared });
  return { machine, environment, swap, backing, file, mm, page };
}

async function mapSharedMemory(pages = 4, swap = new TestSwapStore()) {
  const { machine, environment } = createMachine({ swap });
  const file = createPageCache(machine, pages);
  const mm = machine.createAddressSpace();
  const page = await mapPages(mm, pages, { file, shared: true });
  return { machine, environment, swap, file, mm, page };
}

/** Nothing of anybody's is left. */
function checkEmpty(machine: Machine): void {
  machine.lru.drain();
  assert.equal(machine.host.charge.usage, 0, "host pages in use");
  assert.equal(machine.swap?.used ?? 0, 0, "swap slots in use");
  assert.deepEqual([...machine.pageCaches], []);
  assert.equal(machine.anonVmaCount, 0);
  checkInvariants(machine);
}

describe("a fault in a mapping of a file", () => {
  test("that reads brings the page from the file and maps it read-only", async () => {
    const { machine, backing, file, mm, page } = await mapFile();
    await clearSoftDirty(mm);
    assert.equal(await load(mm, page + 2), 3);
    assert.deepEqual(backing.reads, [2]);
    assert.equal(frameAt(mm, page + 2), file.page(2));
    assert.equal(word(mm, page + 2) & (PTE_WRITE | PTE_EXCLUSIVE), 0);
    assert.equal(mm.resident.usage, 0, "pages of files are not charged");
    checkInvariants(machine);
  });

  test("that reads maps everything around it that is cached, within 16 aligned pages", async () => {
    const { machine, file, mm, page } = await mapFile(40);
    for (const index of [0, 15, 16, 20, 31, 32]) await file.read(index);
    await load(mm, page + 18);
    const mapped = Array.from({ length: 40 }, (_, i) => i).filter((i) => word(mm, page + i) !== 0);
    assert.deepEqual(mapped, [16, 18, 20, 31]);
    checkInvariants(machine);
  });

  test("that reads maps around it only what the VMA covers", async () => {
    const { machine, file, mm } = await mapFile(16);
    for (let index = 0; index < 16; index++) await file.read(index);
    const part = await mapPages(mm, 3, { file, shared: true, offset: 6 * PAGE, at: 10_000 * 16 + 5 });
    assert.equal(await load(mm, part + 1), 8);
    assert.deepEqual(
      [-1, 0, 1, 2, 3].map((i) => word(mm, part + i) !== 0),
      [false, true, true, true, false],
    );
    checkInvariants(machine);
  });

  test("that reads does not map around it a page that is being read", async () => {
    const { machine, backing, file, mm, page } = await mapFile();
    await file.read(0);
    const gate = new Gate();
    backing.pause = () => gate.pass();
    const read = file.read(1);
    await gate.reached;
    await load(mm, page);
    assert.equal(word(mm, page + 1), 0);
    checkInvariants(machine, { locked: [file.page(1)], references: [[file.page(1), 1]], busy: true });
    gate.open();
    await read;
    checkInvariants(machine);
  });

  test("that reads leaves what is mapped around it as it is", async () => {
    const { machine, file, mm, page } = await mapFile(4, { shared: false });
    await store(mm, page, 50);
    await file.read(1);
    assert.equal(await load(mm, page + 1), 2);
    assert.equal(await load(mm, page), 50);
    checkInvariants(machine);
  });

  test("beyond the end of the object has no memory behind it", async () => {
    const { machine, mm } = await mapFile(2);
    const short = createPageCache(machine, 3);
    const page = await mapPages(mm, 3, { file: short, shared: true });
    Object.defineProperty(short, "length", { value: 2 });
    assert.equal(await faultIn(mm, page + 2, 0), FAULT_SIGBUS);
    assert.equal(await faultIn(mm, page + 1, 0), FAULT_DONE);
    checkInvariants(machine);
  });

  test("that writes to a shared mapping changes the page for everybody, and nobody has a page of his own", async () => {
    const { machine, file, mm, page } = await mapFile();
    const other = machine.createAddressSpace();
    const there = await mapPages(other, 4, { file, shared: true });
    const privately = await mapPages(other, 4, { file });
    await store(mm, page + 1, 77);
    assert.deepEqual([await load(other, there + 1), await load(other, privately + 1)], [77, 77]);
    await store(other, there + 1, 78);
    assert.deepEqual([await load(mm, page + 1), await load(other, privately + 1)], [78, 78]);
    assert.equal(word(mm, page + 1) & (PTE_WRITE | PTE_DIRTY | PTE_EXCLUSIVE), PTE_WRITE | PTE_DIRTY);
    checkInvariants(machine);
  });

  test("that writes to a private mapping copies the page and leaves the object alone", async () => {
    const { machine, file, mm, page } = await mapFile(4, { shared: false });
    const listener = new Listener(mm);
    await store(mm, page, 50);
    assert.deepEqual(listener.take(), [], "nothing was mapped");
    assert.equal(await load(mm, page + 1), 2);
    await store(mm, page + 1, 51);
    assert.deepEqual(listener.take(), [["clear", page + 1, page + 2]]);
    assert.deepEqual([await load(mm, page), await load(mm, page + 1)], [50, 51]);
    for (const index of [0, 1]) {
      assert.notEqual(frameAt(mm, page + index), file.page(index));
      assert.equal(machine.zones.bytes(file.page(index))[0], index + 1);
      assert.equal(machine.frames.flags(file.page(index)) & PG_DIRTY, 0);
    }
    assert.equal(mm.resident.usage, 2);
    checkInvariants(machine);
  });

  test("of shared memory makes a page of zeros, also for a write to a private mapping of it", async () => {
    const { machine, file, mm, page } = await mapSharedMemory();
    assert.equal(await load(mm, page), 0);
    assert.notEqual(frameAt(mm, page), 0, "the zero page cannot be shared for writing");
    const privately = await mapPages(mm, 4, { file });
    await store(mm, privately + 1, 9);
    assert.equal(await load(mm, page + 1), 0);
    await store(mm, page, 4);
    assert.equal(await load(mm, privately), 4);
    checkInvariants(machine);
  });

  test("that writes after soft-dirty was cleared marks the entry again", async () => {
    const { machine, mm, page } = await mapSharedMemory();
    await store(mm, page, 1);
    await clearSoftDirty(mm);
    assert.equal(word(mm, page) & (PTE_WRITE | PTE_SOFT_DIRTY), 0);
    await store(mm, page, 2);
    assert.equal(word(mm, page) & (PTE_WRITE | PTE_SOFT_DIRTY), PTE_WRITE | PTE_SOFT_DIRTY);
    checkInvariants(machine);
  });

  test("twice at once reads the page once: the second waits for the first", async () => {
    const { machine, backing, file, mm, page } = await mapFile();
    const other = machine.createAddressSpace();
    const there = await mapPages(other, 4, { file });
    const gate = new Gate();
    backing.pause = () => gate.pass();
    const loads = [load(mm, page), load(mm, page), load(other, there)];
    await gate.reached;
    await everybodyWaits();
    assert.equal(machine.pageLocks.waiting, 2);
    checkInvariants(machine, { locked: [file.page(0)], references: [[file.page(0), 1]], busy: true });
    gate.open();
    assert.deepEqual(await Promise.all(loads), [1, 1, 1]);
    assert.deepEqual(backing.reads, [0]);
    checkInvariants(machine);
  });

  test("that cannot read the file rejects with the file's error, leaves nothing behind, and may succeed later", async () => {
    const { machine, backing, file, mm, page } = await mapFile();
    backing.fails = true;
    await assert.rejects(load(mm, page), /^Error: page 0 of the file cannot be read$/);
    machine.lru.drain();
    assert.equal(machine.host.charge.usage, 0);
    assert.equal(file.page(0), 0);
    checkInvariants(machine);
    backing.fails = false;
    assert.equal(await load(mm, page), 1);
    checkInvariants(machine);
  });

  test("that waits for a read which fails tries the read itself", async () => {
    const { machine, backing, mm, page } = await mapFile();
    const gate = new Gate();
    backing.pause = () => gate.pass();
    backing.fails = true;
    const first = load(mm, page).catch((error: unknown) => error);
    await gate.reached;
    const second = load(mm, page);
    await everybodyWaits();
    assert.equal(machine.pageLocks.waiting, 1);
    const again = new Gate();
    backing.pause = () => again.pass();
    gate.open();
    assert.match(String(await first), /cannot be read/);
    backing.fails = false;
    again.open();
    assert.equal(await second, 1);
    assert.deepEqual(backing.reads, [0, 0]);
    checkInvariants(machine);
  });

  test("without host memory for the page fails, and leaves nothing behind", async () => {
    for (const shared of [true, false]) {
      const { machine, environment, backing, mm, page } = await mapFile(4, { shared });
      environment.exhaust("frame");
      assert.equal(await faultIn(mm, page, 0), FAULT_OOM);
      await assert.rejects(store(mm, page, 1), memoryError("ENOMEM", /no memory for page/));
      assert.deepEqual(backing.reads, []);
      environment.recover();
      checkInvariants(machine);
      await store(mm, page, 1);
      checkInvariants(machine);
    }
  });

  for (const site of ["frame", "charge", "anon-vma", "table"] as const) {
    test(`that writes to a private mapping fails without a ${site}, with the file's page cached and nothing else`, async () => {
      const { machine, environment, file, mm, page } = await mapFile(4, { shared: false });
      await file.read(0);
      environment.refuse(site);
      await assert.rejects(store(mm, page, 1), memoryError("ENOMEM", /no memory for page/));
      machine.lru.drain();
      assert.equal(word(mm, page), 0);
      assert.equal(machine.host.charge.usage, 1);
      assert.equal(mm.resident.usage, 0);
      checkInvariants(machine);
      await store(mm, page, 1);
      assert.equal(await load(mm, page), 1);
      checkInvariants(machine);
    });
  }

  test("of shared memory fails without a host page", async () => {
    const { machine, environment, mm, page } = await mapSharedMemory();
    environment.refuse("frame");
    await assert.rejects(load(mm, page), memoryError("ENOMEM", /no memory for page/));
    checkInvariants(machine);
  });

  test("of a device reads the file, and fails when it cannot be read or there is no memory", async () => {
    const { machine, environment, backing, mm, page } = await mapFile();
    const listener = new Listener(mm);
    const range = () => ({
      mm,
      interval: listener,
      sequence: mm.notifiers.readBegin(listener),
      start: page,
      end: page + 4,
      pfns: new Int32Array(4),
      fault: "read" as const,
      owner: {},
    });
    environment.refuse("frame");
    assert.equal(await hmmRangeFault(range()), HMM_FAULT);
    backing.fails = true;
    await assert.rejects(hmmRangeFault(range()), /cannot be read/);
    checkInvariants(machine);
    backing.fails = false;
    const asked = range();
    assert.equal(await hmmRangeFault(asked), 0);
    assert.equal(backing.reads.length, 5);
    checkInvariants(machine);
  });
});

describe("unmapping a file", () => {
  test("keeps its pages, dirty ones too, as long as somebody holds it", async () => {
    const { machine, backing, file, mm, page } = await mapFile();
    await store(mm, page, 60);
    await load(mm, page + 1);
    await munmap(mm, page * PAGE, 4 * PAGE);
    assert.equal(file.pages.size, 2);
    assert.notEqual(machine.frames.flags(file.page(0)) & PG_DIRTY, 0);
    checkInvariants(machine);
    const again = await mapPages(mm, 4, { file });
    assert.deepEqual([await load(mm, again), await load(mm, again + 1)], [60, 2]);
    assert.deepEqual(backing.reads, [0, 1]);
    await munmap(mm, again * PAGE, 4 * PAGE);
    file.release();
    checkEmpty(machine);
  });

  test("frees pages and slots when nobody holds it and nobody maps it any more", async () => {
    const { machine, file, mm, page } = await mapSharedMemory();
    const other = machine.createAddressSpace();
    const there = await mapPages(other, 4, { file, shared: true });
    for (let i = 0; i < 4; i++) await store(mm, page + i, i);
    await pageOut(mm, page * PAGE, 2 * PAGE);
    file.release();
    await munmap(mm, page * PAGE, 4 * PAGE);
    assert.equal(await load(other, there + 3), 3);
    assert.equal(await load(other, there + 1), 1);
    checkInvariants(machine);
    await exitAddressSpace(other);
    checkEmpty(machine);
  });

  test("that is part of one mapping leaves the rest", async () => {
    const { machine, file, mm, page } = await mapFile();
    for (let i = 0; i < 4; i++) await load(mm, page + i);
    await munmap(mm, (page + 1) * PAGE, PAGE);
    file.release();
    assert.equal(file.vmas.length, 2);
    checkInvariants(machine);
    assert.deepEqual([await load(mm, page), await load(mm, page + 3)], [1, 4]);
    await exitAddressSpace(mm);
    checkEmpty(machine);
  });

  test("leaves a page to whoever pinned it, until he lets go", async () => {
    const { machine, file, mm, page } = await mapSharedMemory();
    await store(mm, page, 8);
    const frame = await pinPage(mm, page, true, DMA_PIN);
    file.release();
    await munmap(mm, page * PAGE, 4 * PAGE);
    assert.deepEqual([...machine.pageCaches], []);
    assert.equal(machine.zones.bytes(frame)[0], 8);
    checkInvariants(machine, { references: [[frame, DMA_PIN]] });
    machine.put(frame, DMA_PIN);
    checkEmpty(machine);
  });

  test("waits while a page is being read for it", async () => {
    const { machine, backing, file, mm, page } = await mapFile();
    const gate = new Gate();
    backing.pause = () => gate.pass();
    const reader = load(mm, page);
    await gate.reached;
    file.release();
    let unmapped = false;
    const unmap = munmap(mm, page * PAGE, 4 * PAGE).then(() => (unmapped = true));
    await everybodyWaits();
    assert.equal(unmapped, false);
    gate.open();
    // The mapping goes before the access is tried again.
    await assert.rejects(reader, memoryError("EFAULT", /may not be accessed/));
    await unmap;
    checkEmpty(machine);
  });

  test("gives a page up while it is being read for another, who gets it", async () => {
    const { machine, backing, mm, page } = await mapFile();
    const gate = new Gate();
    backing.pause = () => gate.pass();
    const reader = load(mm, page);
    await gate.reached;
    await dontNeed(mm, page * PAGE, PAGE);
    gate.open();
    assert.equal(await reader, 1);
    checkInvariants(machine);
  });

  test("cannot be done more often than it is held", () => {
    const { machine } = createMachine();
    const file = createPageCache(machine, 1);
    file.release();
    assert.throws(() => file.release(), /released more often than it is held/);
  });
});

describe("paging out pages of an object", () => {
  test("drops a page that is as the file has it, without writing", async () => {
    const { machine, swap, backing, file, mm, page } = await mapFile();
    await load(mm, page);
    await pageOut(mm, page * PAGE, PAGE);
    assert.equal(word(mm, page), 0);
    assert.equal(file.page(0), 0);
    assert.deepEqual(swap.written, []);
    checkInvariants(machine);
    assert.equal(await load(mm, page), 1);
    assert.deepEqual(backing.reads, [0, 0]);
    checkInvariants(machine);
  });

  test("writes a changed page to swap, and reads it from there again", async () => {
    const { machine, swap, backing, file, mm, page } = await mapFile();
    await store(mm, page, 90);
    const listener = new Listener(mm);
    await pageOut(mm, page * PAGE, PAGE);
    assert.deepEqual(listener.take(), [["clear", page, page + 1]]);
    assert.equal(word(mm, page), 0, "a shared entry that was swapped out reads as nothing");
    assert.equal(file.page(0), 0);
    assert.equal(swap.pages.size, 1);
    checkInvariants(machine);
    assert.equal(await load(mm, page), 90);
    assert.equal(swap.pages.size, 0, "the slot is free");
    assert.deepEqual(backing.reads, [0], "only before the write");
    checkInvariants(machine);
    await pageOut(mm, page * PAGE, PAGE);
    assert.equal(await load(mm, page), 90, "what was only in swap is written again");
    checkInvariants(machine);
  });

  test("leaves what two mappings share", async () => {
    const { machine, file, mm, page } = await mapSharedMemory();
    const other = machine.createAddressSpace();
    const there = await mapPages(other, 4, { file, shared: true });
    await store(mm, page, 1);
    await load(other, there);
    await pageOut(mm, page * PAGE, PAGE);
    assert.notEqual(word(mm, page) & PTE_PRESENT, 0);
    checkInvariants(machine);
  });

  test("unmaps a page that is referenced, but keeps it", async () => {
    const { machine, swap, file, mm, page } = await mapSharedMemory();
    await store(mm, page, 1);
    const frame = await pinPage(mm, page, true, SHORT_REFERENCE);
    await pageOut(mm, page * PAGE, PAGE);
    assert.equal(word(mm, page), 0);
    assert.equal(file.page(0), frame);
    assert.deepEqual(swap.written, []);
    checkInvariants(machine, { references: [[frame, 1]] });
    machine.zones.bytes(frame).fill(2);
    machine.put(frame);
    assert.equal(await load(mm, page), 2);
    checkInvariants(machine);
  });

  for (const [what, swap] of [
    ["without a free slot", new TestSwapStore(1)],
    ["when swap cannot be written", new TestSwapStore()],
  ] as const) {
    test(`${what} keeps the page, and no byte is lost`, async () => {
      const { machine, file, mm, page } = await mapSharedMemory(4, swap);
      if (swap.slots === 1) {
        await store(mm, page + 1, 1);
        await pageOut(mm, (page + 1) * PAGE, PAGE);
      }
      const used = machine.swap?.used;
      swap.failsWrites = swap.slots > 1;
      await store(mm, page, 70);
      await pageOut(mm, page * PAGE, PAGE);
      assert.notEqual(file.page(0), 0);
      assert.equal(machine.swap?.used, used, "no slot is taken");
      checkInvariants(machine);
      assert.equal(await load(mm, page), 70);
      swap.failsWrites = false;
      file.release();
      await exitAddressSpace(mm);
      checkEmpty(machine);
    });
  }

  test("without swap keeps a changed page and drops one that the file still has", async () => {
    const { machine } = createMachine();
    const file = createPageCache(machine, 2, new TestFile());
    const mm = machine.createAddressSpace();
    const page = await mapPages(mm, 2, { file, shared: true });
    await store(mm, page, 70);
    await load(mm, page + 1);
    await pageOut(mm, page * PAGE, 2 * PAGE);
    assert.notEqual(file.page(0), 0);
    assert.equal(file.page(1), 0);
    assert.deepEqual([await load(mm, page), await load(mm, page + 1)], [70, 2]);
    checkInvariants(machine);
  });

  test("makes an access wait while the page is written, then brings it back", async () => {
    const { machine, swap, file, mm, page } = await mapSharedMemory();
    const other = machine.createAddressSpace();
    const there = await mapPages(other, 4, { file, shared: true });
    await store(mm, page, 31);
    const gate = new Gate();
    swap.pause = () => gate.pass();
    const paging = pageOut(mm, page * PAGE, PAGE);
    await gate.reached;
    const accesses = [load(mm, page), load(other, there)];
    await everybodyWaits();
    assert.equal(machine.pageLocks.waiting, 2);
    assert.deepEqual([word(mm, page), word(other, there)], [0, 0]);
    swap.pause = null;
    gate.open();
    await paging;
    assert.deepEqual(await Promise.all(accesses), [31, 31]);
    checkInvariants(machine);
  });

  test("of a page that is pinned and given up meanwhile loses nothing", async () => {
    const { machine, swap, mm, page } = await mapSharedMemory();
    for (let i = 0; i < 2; i++) await store(mm, page + i, 40 + i);
    const gate = new Gate();
    swap.pause = () => gate.pass();
    const paging = pageOut(mm, page * PAGE, 2 * PAGE);
    await gate.reached;
    // The second page is isolated and still mapped.
    await dontNeed(mm, page * PAGE, 2 * PAGE);
    gate.open();
    await paging;
    checkInvariants(machine);
    assert.deepEqual([await load(mm, page), await load(mm, page + 1)], [40, 41]);
    checkInvariants(machine);
  });

  test("that cannot be read from swap again keeps its slot, and may be read later", async () => {
    const { machine, swap, mm, page } = await mapSharedMemory();
    await store(mm, page, 31);
    await pageOut(mm, page * PAGE, PAGE);
    swap.failsReads = true;
    await assert.rejects(load(mm, page), /slot 1 cannot be read/);
    machine.lru.drain();
    assert.equal(machine.host.charge.usage, 0);
    checkInvariants(machine);
    swap.failsReads = false;
    assert.equal(await load(mm, page), 31);
    checkInvariants(machine);
  });
});

describe("writing to an object", () => {
  test("changes what all mappings see, and needs no file", async () => {
    const { machine, backing, file, mm, page } = await mapFile();
    await load(mm, page);
    file.write(0, new Uint8Array(PAGE).fill(5));
    file.write(1, new Uint8Array(PAGE).fill(6));
    assert.deepEqual([await load(mm, page), await load(mm, page + 1)], [5, 6]);
    assert.deepEqual(backing.reads, [0]);
    await pageOut(mm, page * PAGE, 2 * PAGE);
    assert.deepEqual([await load(mm, page), await load(mm, page + 1)], [5, 6]);
    checkInvariants(machine);
  });

  test("replaces a page that was paged out, and frees its slot", async () => {
    const { machine, swap, file, mm, page } = await mapSharedMemory();
    await store(mm, page, 1);
    await pageOut(mm, page * PAGE, PAGE);
    assert.equal(swap.pages.size, 1);
    file.write(0, new Uint8Array(PAGE).fill(5));
    checkInvariants(machine);
    assert.equal(machine.swap?.used, 0);
    assert.equal(await load(mm, page), 5);
    checkInvariants(machine);
  });

  test("is refused while the page is being read or paged out, with nothing changed", async () => {
    const { machine, backing, swap, file, mm, page } = await mapFile();
    const bytes = new Uint8Array(PAGE).fill(5);
    const readGate = new Gate();
    backing.pause = () => readGate.pass();
    const reader = load(mm, page);
    await readGate.reached;
    assert.throws(() => file.write(0, bytes), memoryError("EBUSY", /page 0 of an object is being read or paged out/));
    readGate.open();
    assert.equal(await reader, 1);
    await store(mm, page, 2);
    const writeGate = new Gate();
    swap.pause = () => writeGate.pass();
    const paging = pageOut(mm, page * PAGE, PAGE);
    await writeGate.reached;
    assert.throws(() => file.write(0, bytes), memoryError("EBUSY", /page 0 of an object is being read or paged out/));
    writeGate.open();
    await paging;
    assert.equal(await load(mm, page), 2);
    checkInvariants(machine);
  });

  test("takes a whole page within the object", async () => {
    const { machine, file } = await mapFile(4);
    for (const bytes of [0, PAGE - 1, PAGE + 1])
      assert.throws(
        () => file.write(0, new Uint8Array(bytes)),
        memoryError("EINVAL", new RegExp(`${bytes} bytes are not the ${PAGE} of a page`)),
      );
    for (const index of [-1, 4, 0.5])
      assert.throws(
        () => file.write(index, new Uint8Array(PAGE)),
        memoryError("EINVAL", new RegExp(`page ${index} is not within the 4 of the object`)),
      );
    assert.equal(file.pages.size, 0);
    checkInvariants(machine);
  });

  test("fails without host memory", async () => {
    const { machine, environment, file } = await mapFile();
    environment.refuse("frame");
    assert.throws(() => file.write(0, new Uint8Array(PAGE)), memoryError("ENOMEM", /page 0/));
    assert.equal(file.pages.size, 0);
    checkInvariants(machine);
  });
});

describe("mapping an object", () => {
  test("needs an offset on a page and a range within it", async () => {
    const { machine, file, mm } = await mapFile(4);
    const map = (options: object) => mmap(mm, { length: 2 * PAGE, file, ...options });
    await assert.rejects(map({ offset: 100 }), memoryError("EINVAL", /100/));
    await assert.rejects(map({ offset: 3 * PAGE }), memoryError("EINVAL", /pages 3 to 5 are not within the 4/));
    await assert.rejects(mmap(mm, { length: PAGE, shared: true }), memoryError("EINVAL", /needs an object/));
    await assert.rejects(
      map({ shared: true, home: machine.host.reserveHome(2) }),
      memoryError("EINVAL", /no home range/),
    );
    assert.equal(file.vmas.length, 1);
    checkInvariants(machine);
  });

  test("that is gone, or belongs to another machine, is refused", async () => {
    const { machine, mm } = await mapFile(1);
    const gone = createPageCache(machine, 1);
    gone.release();
    const stranger = createPageCache(createMachine().machine, 1);
    for (const [file, message] of [
      [gone, /object 2 is neither held nor mapped any more/],
      [stranger, /object 1 belongs to another machine/],
    ] as const) {
      const vmas = mm.vmas.length;
      await assert.rejects(mmap(mm, { length: PAGE, file, shared: true }), memoryError("EINVAL", message));
      assert.equal(mm.vmas.length, vmas);
      assert.equal(file.vmas.length, 0);
      assert.equal(mm.mmapLock.free, true);
      checkInvariants(machine);
    }
    assert.throws(() => gone.write(0, new Uint8Array(PAGE)), memoryError("EINVAL", /neither held nor mapped/));
    assert.equal(machine.host.charge.usage, 0);
  });

  test("keeps its VMAs in the order of their offsets, then of mapping", async () => {
    const { machine, file, mm } = await mapFile(8);
    const at = await Promise.all([4, 2, 4, 0].map((offset) => mapPages(mm, 1, { file, offset: offset * PAGE })));
    const order = file.vmas.slice().map((vma) => vma.start);
    assert.deepEqual(order.slice(1), [at[3], at[1], at[0], at[2]]);
    checkInvariants(machine);
  });
});

describe("migrating pages of an object", () => {
  test("to private device memory does not happen, and changes nothing", async () => {
    const { machine, mm, page } = await mapFile();
    const device = new TestDevice(machine, "private", 4);
    await load(mm, page);
    await store(mm, page + 1, 50);
    machine.lru.drain();
    const before = [word(mm, page), word(mm, page + 1)];
    assert.deepEqual(await device.migrateToDevice(mm, page, 2), [false, false]);
    assert.equal(device.freeFrames, 4);
    assert.deepEqual(
      [word(mm, page), word(mm, page + 1)].map((entry) => entry | PTE_YOUNG),
      before.map((entry) => entry | PTE_YOUNG),
    );
    assert.deepEqual([await load(mm, page), await load(mm, page + 1)], [1, 50]);
    checkInvariants(machine);
  });

  test("that is private takes the copies and leaves the pages of the object", async () => {
    const { machine, mm, page } = await mapFile(4, { shared: false });
    const device = new TestDevice(machine, "private", 4);
    await load(mm, page);
    await store(mm, page + 1, 50);
    machine.lru.drain();
    assert.deepEqual(await device.migrateToDevice(mm, page, 2), [false, true]);
    checkInvariants(machine);
    assert.deepEqual([await load(mm, page), await load(mm, page + 1)], [1, 50]);
    checkInvariants(machine);
  });
});
