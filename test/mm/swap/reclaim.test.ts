// Reclaim: a host budget that is used up makes room by way of swap, and nothing is lost, whatever fails.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { touch } from "../../../src/access/cpu.js";
import { createPageCache } from "../../../src/mm/stores.js";
import { forkAddressSpace } from "../../../src/mm/copy/fork.js";
import { FAULT_OOM } from "../../../src/mm/fault/fault.js";
import type { AddressSpace } from "../../../src/mm/space/address-space.js";
import { isSwapEntry } from "../../../src/mm/table/entry.js";
import { DMA_PIN, pinPage, SHORT_REFERENCE } from "../../../src/mm/fault/gup.js";
import { dontNeed, exitAddressSpace, mmap } from "../../../src/mm/space/mapping.js";
import { readIn, readInForDevice } from "../../../src/mm/file/read-in.js";
import {
  createMachine,
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

async function createFull(hostPages = 8, pages = 20, swap = new TestSwapStore()) {
  const { machine, environment } = createMachine({ hostPages, swap });
  const mm = machine.createAddressSpace();
  const page = await mapPages(mm, pages);
  return { machine, environment, swap, mm, page };
}

function swapped(mm: AddressSpace, page: number, pages: number): number {
  return Array.from({ length: pages }, (_, i) => word(mm, page + i)).filter(isSwapEntry).length;
}

describe("a host budget that is used up", () => {
  test("takes any number of pages, and gives back what was stored in each", async () => {
    const { machine, mm, page } = await createFull();
    for (let i = 0; i < 20; i++) {
      await store(mm, page + i, i + 1);
      assert.ok(machine.host.charge.usage <= 8);
    }
    checkInvariants(machine);
    assert.equal(swapped(mm, page, 20), 20 - machine.host.charge.usage);
    for (let i = 0; i < 20; i++) assert.equal(await load(mm, page + i), i + 1);
    checkInvariants(machine);
    await exitAddressSpace(mm);
    machine.lru.drain();
    assert.equal(machine.host.charge.usage, 0);
    assert.equal(machine.swap?.used, 0);
    checkInvariants(machine);
  });

  test("gives up the pages that were used longest ago", async () => {
    const { mm, page } = await createFull(8, 9);
    for (let i = 0; i < 8; i++) await store(mm, page + i, i);
    // One round of looking takes all young bits; then 1 is used again.
    await store(mm, page + 8, 8);
    assert.ok(isSwapEntry(word(mm, page)), "the first page went");
    assert.ok(touch(mm, page + 1, false) >= 0);
    assert.equal(await load(mm, page), 0);
    assert.ok(!isSwapEntry(word(mm, page + 1)), "a page that was used since got another round");
    assert.ok(isSwapEntry(word(mm, page + 2)));
  });

  test("drops a page that was only read since it came from swap, without another write", async () => {
    const { machine, swap, mm, page } = await createFull(4, 8);
    for (let i = 0; i < 8; i++) await store(mm, page + i, i + 1);
    for (let i = 0; i < 8; i++) await load(mm, page + i);
    const before = swap.written.length;
    for (let round = 0; round < 3; round++) for (let i = 0; i < 8; i++) assert.equal(await load(mm, page + i), i + 1);
    assert.equal(swap.written.length, before);
    checkInvariants(machine);
  });

  test("leaves pinned pages, and says so when nothing else is left", async () => {
    const { machine, mm, page } = await createFull(4, 8);
    const pinned: number[] = [];
    for (let i = 0; i < 4; i++) pinned.push(await pinPage(mm, page + i, true, DMA_PIN));
    await assert.rejects(store(mm, page + 4, 1), /no memory/);
    for (const frame of pinned) machine.put(frame, DMA_PIN);
    await store(mm, page + 4, 1);
    assert.equal(await load(mm, page + 4), 1);
    checkInvariants(machine);
  });

  test("waits for one write together with others who need memory", async () => {
    const { swap, machine, mm, page } = await createFull(8, 20);
    for (let i = 0; i < 8; i++) await store(mm, page + i, i + 1);
    const gate = new Gate();
    swap.pause = () => gate.pass();
    const stores = [8, 9, 10].map((i) => store(mm, page + i, i + 1));
    await gate.reached;
    checkInvariants(machine, {
      busy: true,
      locked: Array.from({ length: machine.frames.count }, (_, i) => i),
      references: [[machine.swap?.cached(swap.written[0] ?? 0) ?? 0, 1]],
    });
    swap.pause = null;
    gate.open();
    await Promise.all(stores);
    for (let i = 0; i < 11; i++) assert.equal(await load(mm, page + i), i + 1);
    checkInvariants(machine);
  });

  test("rejects with the store's error when nothing could be written, and every page is as it was", async () => {
    const { swap, machine, mm, page } = await createFull(4, 8);
    for (let i = 0; i < 4; i++) await store(mm, page + i, i + 1);
    swap.failsWrites = true;
    await assert.rejects(store(mm, page + 4, 9), /slot \d+ cannot be written/);
    for (let i = 0; i < 4; i++) assert.equal(await load(mm, page + i), i + 1);
    checkInvariants(machine);
    swap.failsWrites = false;
    await store(mm, page + 4, 9);
    for (let i = 0; i < 4; i++) assert.equal(await load(mm, page + i), i + 1);
    checkInvariants(machine);
  });

  test("is ENOMEM once swap is full too; what is given up makes room again", async () => {
    const { machine, mm, page } = await createFull(4, 12, new TestSwapStore(3));
    for (let i = 0; i < 7; i++) await store(mm, page + i, i + 1);
    await assert.rejects(store(mm, page + 7, 1), /no memory/);
    checkInvariants(machine);
    await dontNeed(mm, page * PAGE, PAGE);
    for (let i = 1; i < 7; i++) assert.equal(await load(mm, page + i), i + 1);
    checkInvariants(machine);
    await dontNeed(mm, (page + 1) * PAGE, PAGE);
    await store(mm, page + 7, 8);
    for (let i = 2; i < 8; i++) assert.equal(await load(mm, page + i), i + 1);
    checkInvariants(machine);
  });

  test("a page that somebody comes for while it is written stays", async () => {
    const { swap, machine, mm, page } = await createFull(2, 4);
    await store(mm, page, 1);
    await store(mm, page + 1, 2);
    const gate = new Gate();
    swap.pause = () => gate.pass();
    const storing = store(mm, page + 2, 3);
    await gate.reached;
    const loading = load(mm, page);
    swap.pause = null;
    gate.open();
    assert.equal(await loading, 1);
    await storing;
    assert.equal(await load(mm, page + 1), 2);
    assert.equal(await load(mm, page + 2), 3);
    checkInvariants(machine);
  });
});

describe("reading ahead", () => {
  /** A store that takes many slots at once and says in what runs. */
  class RunStore extends TestSwapStore {
    readonly maxRun = 16;
    readonly runs: [kind: string, slot: number, pages: number][] = [];
    override async write(slot: number, bytes: Uint8Array): Promise<void> {
      this.runs.push(["write", slot, bytes.length / PAGE]);
      for (let i = 0; i * PAGE < bytes.length; i++)
        await super.write(slot + i, bytes.subarray(i * PAGE, (i + 1) * PAGE));
    }
    override async read(slot: number, into: Uint8Array): Promise<void> {
      this.runs.push(["read", slot, into.length / PAGE]);
      for (let i = 0; i * PAGE < into.length; i++) await super.read(slot + i, into.subarray(i * PAGE, (i + 1) * PAGE));
    }
  }

  async function createRuns() {
    const swap = new RunStore(64);
    const { machine } = createMachine({ hostPages: 32, swap });
    const mm = machine.createAddressSpace();
    const home = machine.host.preferShared(64);
    const page = (await mmap(mm, { length: 64 * PAGE, home })) / PAGE;
    for (let i = 0; i < 64; i++) await store(mm, page + i, i + 1);
    return { machine, swap, mm, page };
  }

  test("brings neighbours in swap by one request, as they went there", async () => {
    const { machine, swap, mm, page } = await createRuns();
    assert.deepEqual(
      swap.runs.filter(([kind, , pages]) => kind === "write" && pages !== 4),
      [],
      "an eighth of the memory went at once",
    );
    swap.runs.length = 0;
    await readIn(mm, page, page + 8);
    const reads = swap.runs.filter(([kind]) => kind === "read");
    assert.deepEqual(
      reads.map(([, , pages]) => pages),
      [8],
    );
    for (let i = 0; i < 64; i++) assert.equal(await load(mm, page + i), i + 1);
    checkInvariants(machine);
  });

  test("of pages that nobody comes for does not keep the memory", async () => {
    const { machine, mm, page } = await createRuns();
    for (let i = 0; i < 64; i += 8) await readIn(mm, page + i, page + i + 8);
    assert.ok(machine.host.charge.usage <= 32);
    assert.ok(await machine.paging.makeRoom(32), "all of it can be had");
    for (let i = 0; i < 64; i++) assert.equal(await load(mm, page + i), i + 1);
    checkInvariants(machine);
  });

  test("that fails leaves every page in swap, and nothing locked", async () => {
    const { machine, swap, mm, page } = await createRuns();
    swap.failsReads = true;
    await assert.rejects(readIn(mm, page, page + 8), /cannot be read/);
    checkInvariants(machine);
    swap.failsReads = false;
    for (let i = 0; i < 64; i++) assert.equal(await load(mm, page + i), i + 1);
  });

  test("for a device leaves no page in the swap cache", async () => {
    const { machine, mm, page } = await createRuns();
    assert.equal(await readInForDevice(mm, page, page + 4), -1);
    for (let i = 0; i < 4; i++) assert.equal(machine.frames.refcount(frameAt(mm, page + i)) <= 2, true);
    machine.lru.drain();
    for (let i = 0; i < 4; i++) assert.equal(machine.frames.refcount(frameAt(mm, page + i)), 1);
    checkInvariants(machine);
  });
});

test("a store that needs a page of a file and its copy, where there is room for one of them, is ENOMEM", async () => {
  const { machine, mm, page } = await createFull(2);
  await store(mm, page, 1);
  const pinned = await pinPage(mm, page, true, DMA_PIN);
  const read = async (_index: number, into: Uint8Array): Promise<void> => void into.fill(2);
  const file = createPageCache(machine, 1, { read });
  const copied = await mapPages(mm, 1, { file });
  await assert.rejects(store(mm, copied, 3), memoryError("ENOMEM", /no memory for page/));
  checkInvariants(machine, { references: [[pinned, DMA_PIN]] });
  assert.equal(await load(mm, copied), 2);
  machine.put(pinned, DMA_PIN);
  await store(mm, copied, 3);
  assert.equal(await load(mm, copied), 3);
  assert.equal(await load(mm, page), 1);
  checkInvariants(machine);
});

test("a pin for reading that needs a shared page from swap and its copy, where there is room for one of them, is ENOMEM", async () => {
  const { machine, swap, mm, page } = await createFull(2, 2);
  await store(mm, page, 1);
  await store(mm, page + 1, 2);
  const child = await forkAddressSpace(mm);
  const pinned = await pinPage(mm, page, false, SHORT_REFERENCE);
  swap.pause = async () => assert.ok(swap.filled.length < 100, "the page and its copy drive each other out");
  assert.equal(await pinPage(child, page + 1, false, DMA_PIN), -1 - FAULT_OOM);
  checkInvariants(machine, { references: [[pinned, SHORT_REFERENCE]] });
  machine.put(pinned, SHORT_REFERENCE);
  const own = await pinPage(child, page + 1, false, DMA_PIN);
  assert.ok(own > 0, "there is room now");
  machine.put(own, DMA_PIN);
  for (const space of [mm, child]) {
    assert.deepEqual([await load(space, page), await load(space, page + 1)], [1, 2]);
  }
  checkInvariants(machine);
});

for (const failsWrites of [false, true]) {
  const what = failsWrites ? ", in vain," : "";
  test(`an object that goes while its page is written to swap${what} takes the page with it, and no slot is left`, async () => {
    const { machine, swap, mm, page } = await createFull(2, 2);
    const object = createPageCache(machine, 1);
    object.write(0, new Uint8Array(PAGE).fill(9));
    swap.failsWrites = failsWrites;
    let gone = 0;
    swap.pause = async () => {
      if (gone++ === 0) object.release();
    };
    await store(mm, page, 1);
    await store(mm, page + 1, 2);
    assert.equal(gone, 1, "the object's page was the one to go");
    checkInvariants(machine);
    assert.deepEqual([machine.swap?.used, swap.pages.size], [0, 0]);
    assert.deepEqual([await load(mm, page), await load(mm, page + 1)], [1, 2]);
    await exitAddressSpace(mm);
    machine.lru.drain();
    assert.equal(machine.host.charge.usage, 0);
    checkInvariants(machine);
  });
}
