// Mapping, unmapping, protecting, advising: what becomes of VMAs, of pages, and what devices hear of it.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { AddressSpace } from "../../../src/mm/space/address-space.js";
import { PG_RETAINED } from "../../../src/mm/frames/frames.js";
import { DMA_PIN, pinPage } from "../../../src/mm/fault/gup.js";
import {
  type Advice,
  dontNeed,
  exitAddressSpace,
  madvise,
  mmap,
  mprotect,
  munmap,
} from "../../../src/mm/space/mapping.js";
import { ADDRESS_SPACE_PAGES, TABLE_WORDS } from "../../../src/mm/table/page-table.js";
import {
  PROT_EXEC,
  PROT_NONE,
  PROT_READ,
  PROT_WRITE,
  VM_DONTEXPAND,
  VM_HUGEPAGE,
  VM_IO,
  VM_MIXEDMAP,
  VM_NOHUGEPAGE,
  VM_PFNMAP,
  VM_SOFTDIRTY,
} from "../../../src/mm/space/vma.js";
import { createMachine, frameAt, load, mapPages, memoryError, PAGE, store, word } from "../../builders.js";
import { checkInvariants } from "../../invariants.js";
import { Listener, TestDevice } from "../../test-device.js";

const RW = PROT_READ | PROT_WRITE;

function createSpace() {
  const { machine, environment } = createMachine();
  const mm = machine.createAddressSpace();
  return { machine, environment, mm };
}

/** The VMAs as `start-end:protection`, pages counted from `base`. */
function layout(mm: AddressSpace, base: number): string {
  return mm.vmas.map(({ start, end, flags }) => `${start - base}-${end - base}:${flags & 7}`).join(" ");
}

function protect(mm: AddressSpace, page: number, pages: number, protection: number): Promise<void> {
  return mprotect(mm, page * PAGE, pages * PAGE, protection);
}

function unmap(mm: AddressSpace, page: number, pages: number): Promise<void> {
  return munmap(mm, page * PAGE, pages * PAGE);
}

function advise(mm: AddressSpace, page: number, pages: number, advice: Advice): Promise<void> {
  return madvise(mm, page * PAGE, pages * PAGE, advice);
}

describe("a new mapping", () => {
  test("is readable and writable memory of zeros, soft-dirty, without pages", async () => {
    const { machine, mm } = createSpace();
    const page = await mapPages(mm, 4);
    assert.equal(layout(mm, page), "0-4:3");
    assert.equal(mm.vmas[0].flags & VM_SOFTDIRTY, VM_SOFTDIRTY);
    assert.equal(mm.vmas[0].anonymous, true);
    assert.equal(mm.resident.usage, 0);
    assert.equal(await load(mm, page), 0);
    checkInvariants(machine);
  });

  test("gets a place of its own, a block away from its neighbours", async () => {
    const { machine, mm } = createSpace();
    const pages = [await mapPages(mm, 5), await mapPages(mm, 600), await mapPages(mm, 1)];
    assert.equal(mm.vmas.length, 3);
    for (const page of pages) assert.equal(page % TABLE_WORDS, 0);
    for (let i = 1; i < 3; i++) assert.ok(mm.vmas[i].start - mm.vmas[i - 1].end >= TABLE_WORDS);
    checkInvariants(machine);
  });

  test("takes the lowest place that is big enough after others went", async () => {
    const { mm } = createSpace();
    const first = await mapPages(mm, 700);
    await mapPages(mm, 1);
    await unmap(mm, first, 700);
    const big = await mapPages(mm, 2000);
    assert.ok(big > first);
    assert.equal(await mapPages(mm, 600), first);
  });

  test("takes a place that fits it to the page, with its distance, and none that is a page too small", async () => {
    const { mm } = createSpace();
    const first = await mapPages(mm, 700);
    const second = await mapPages(mm, 1);
    await unmap(mm, first, 700);
    const fitting = second - TABLE_WORDS - first;
    const larger = await mapPages(mm, fitting + 1);
    assert.ok(larger > second);
    assert.equal(await mapPages(mm, fitting), first);
  });

  test("goes where it is asked to, over what is mapped there", async () => {
    const { machine, mm } = createSpace();
    const page = await mapPages(mm, 4);
    await store(mm, page + 1, 1);
    await store(mm, page + 3, 3);
    assert.equal(await mapPages(mm, 2, { at: page + 1, protection: PROT_READ }), page + 1);
    assert.equal(layout(mm, page), "0-1:3 1-3:1 3-4:3");
    assert.equal(await load(mm, page + 1), 0);
    assert.equal(await load(mm, page + 3), 3);
    checkInvariants(machine);
  });

  test("is told to devices only when something was mapped there", async () => {
    const { mm } = createSpace();
    const listener = new Listener(mm);
    const page = await mapPages(mm, 4);
    assert.deepEqual(listener.take(), []);
    await mapPages(mm, 2, { at: page + 3 });
    assert.deepEqual(listener.take(), [["unmap", page + 3, page + 5]]);
  });

  for (const [what, options, code, message] of [
    ["of no length", { length: 0 }, "EINVAL", /length 0 has no pages/],
    ["of half a page", { length: PAGE / 2 }, "EINVAL", /length 2048 is not a multiple of the page size 4096/],
    ["of a negative length", { length: -PAGE }, "EINVAL", /length -4096/],
    ["of no number as length", { length: NaN }, "EINVAL", /length NaN/],
    ["at an address within a page", { length: PAGE, address: 5 }, "EINVAL", /address 5 is not a multiple/],
    [
      "beyond the address space",
      { length: 2 * PAGE, address: (ADDRESS_SPACE_PAGES - 1) * PAGE },
      "ENOMEM",
      /page 134217729 is beyond the 134217728 pages/,
    ],
    [
      "longer than any free place",
      { length: ADDRESS_SPACE_PAGES * PAGE },
      "ENOMEM",
      /no free place for 134217728 pages in an address space of 134217728/,
    ],
    ["with an unknown protection", { length: PAGE, protection: 8 }, "EINVAL", /protection 8/],
    ["with huge pages", { length: PAGE, flags: VM_HUGEPAGE }, "EINVAL", /VM_HUGEPAGE .* madvise/],
  ] as const) {
    test(`${what} is refused, and nothing is mapped`, async () => {
      const { machine, mm } = createSpace();
      await assert.rejects(mmap(mm, options), memoryError(code, message));
      assert.equal(mm.vmas.length, 0);
      checkInvariants(machine);
    });
  }

  test("is refused with a home range of another size", async () => {
    const { machine, mm } = createSpace();
    const home = machine.host.reserveHome(3);
    await assert.rejects(
      mmap(mm, { length: 2 * PAGE, home }),
      memoryError("EINVAL", /home range of 3 pages does not fit a mapping of 2/),
    );
  });

  test("is refused with a home range that another mapping has", async () => {
    const { machine, mm } = createSpace();
    const home = machine.host.reserveHome(2);
    await mmap(mm, { length: 2 * PAGE, home });
    await assert.rejects(mmap(mm, { length: 2 * PAGE, home }), memoryError("EINVAL", /home range .* mapped/));
    assert.equal(mm.vmas.length, 1);
  });

  test("can fill the address space to its last page", async () => {
    const { machine, mm } = createSpace();
    const last = ADDRESS_SPACE_PAGES - 1;
    await mapPages(mm, 1, { at: last });
    await mapPages(mm, 1, { at: 0 });
    await store(mm, last, 1);
    await store(mm, 0, 2);
    assert.deepEqual([await load(mm, last), await load(mm, 0)], [1, 2]);
    checkInvariants(machine);
  });
});

describe("neighbours", () => {
  test("with equal flags become one VMA, which is soft-dirty", async () => {
    const { machine, mm } = createSpace();
    const page = await mapPages(mm, 2);
    mm.vmas[0].flags &= ~VM_SOFTDIRTY;
    await mapPages(mm, 2, { at: page + 2 });
    assert.equal(layout(mm, page), "0-4:3");
    assert.equal(mm.vmas[0].flags & VM_SOFTDIRTY, VM_SOFTDIRTY);
    checkInvariants(machine);
  });

  test("below a VMA are taken over by it as well", async () => {
    const { machine, mm } = createSpace();
    const page = await mapPages(mm, 2);
    await store(mm, page, 1);
    await mapPages(mm, 2, { at: page - 2 });
    assert.equal(layout(mm, page), "-2-2:3");
    assert.equal(mm.vmas[0].offset, page - 2);
    checkInvariants(machine);
  });

  test("on both sides become one with what is mapped between them", async () => {
    const { machine, mm } = createSpace();
    const page = await mapPages(mm, 2);
    await mapPages(mm, 2, { at: page + 4 });
    await store(mm, page + 4, 1);
    await mapPages(mm, 2, { at: page + 2 });
    assert.equal(layout(mm, page), "0-6:3");
    assert.equal(await load(mm, page + 4), 1);
    checkInvariants(machine);
  });

  test("that do not touch stay apart", async () => {
    const { mm } = createSpace();
    const page = await mapPages(mm, 2);
    await mapPages(mm, 2, { at: page + 3 });
    assert.equal(layout(mm, page), "0-2:3 3-5:3");
  });

  test("with other flags stay apart", async () => {
    const { mm } = createSpace();
    const page = await mapPages(mm, 2);
    await mapPages(mm, 2, { at: page + 2, protection: PROT_READ });
    await mapPages(mm, 2, { at: page + 4, protection: PROT_READ, flags: VM_NOHUGEPAGE });
    assert.equal(layout(mm, page), "0-2:3 2-4:1 4-6:1");
  });

  test("with other home ranges stay apart", async () => {
    const { machine, mm } = createSpace();
    const page = await mapPages(mm, 2, { home: true });
    await mapPages(mm, 2, { at: page + 2, home: true });
    await mapPages(mm, 2, { at: page + 4 });
    assert.equal(mm.vmas.length, 3);
    checkInvariants(machine);
  });

  test("that are special stay apart", async () => {
    for (const flags of [VM_IO, VM_DONTEXPAND, VM_PFNMAP, VM_MIXEDMAP]) {
      const { mm } = createSpace();
      const page = await mapPages(mm, 2, { flags });
      await mapPages(mm, 2, { at: page + 2, flags });
      assert.equal(layout(mm, page), "0-2:3 2-4:3");
    }
  });

  test("with pages of two different roots stay apart, and what comes between joins the lower one", async () => {
    const { machine, mm } = createSpace();
    const page = await mapPages(mm, 2);
    await mapPages(mm, 2, { at: page + 4 });
    await store(mm, page, 1);
    await store(mm, page + 4, 2);
    await mapPages(mm, 2, { at: page + 2 });
    assert.equal(layout(mm, page), "0-4:3 4-6:3");
    checkInvariants(machine);
  });
});

describe("the root of a VMA's pages", () => {
  test("comes with the first page that is its own; the zero page needs none", async () => {
    const { machine, mm } = createSpace();
    const page = await mapPages(mm, 2);
    await load(mm, page);
    assert.equal(machine.anonVmaCount, 0);
    await store(mm, page, 1);
    assert.equal(machine.anonVmaCount, 1);
    assert.notEqual(mm.vmas[0].anonVma, null);
  });

  for (const [where, first, second] of [
    ["above", 2, 0],
    ["below", 0, 2],
  ] as const) {
    test(`is that of a compatible neighbour ${where}, so that the two can become one`, async () => {
      const { machine, mm } = createSpace();
      const page = await mapPages(mm, 4);
      await protect(mm, page + 2, 2, RW | PROT_EXEC);
      await store(mm, page + first, 1);
      await store(mm, page + second, 2);
      assert.equal(mm.vmas[0].anonVma, mm.vmas[1].anonVma);
      await protect(mm, page + 2, 2, RW);
      assert.equal(layout(mm, page), "0-4:3");
      assert.deepEqual([await load(mm, page + first), await load(mm, page + second)], [1, 2]);
      checkInvariants(machine);
    });
  }

  test("is its own beside a neighbour with other advice", async () => {
    const { machine, mm } = createSpace();
    const page = await mapPages(mm, 4);
    await advise(mm, page + 2, 2, "nohugepage");
    await store(mm, page, 1);
    await store(mm, page + 2, 2);
    assert.notEqual(mm.vmas[0].anonVma, mm.vmas[1].anonVma);
    checkInvariants(machine);
  });

  test("is its own beside a neighbour that does not touch", async () => {
    const { mm } = createSpace();
    const page = await mapPages(mm, 2);
    await mapPages(mm, 2, { at: page + 3 });
    await store(mm, page, 1);
    await store(mm, page + 3, 2);
    assert.notEqual(mm.vmas[0].anonVma, mm.vmas[1].anonVma);
  });

  test("is shared by both halves of a VMA that is split, and goes with the last of them", async () => {
    const { machine, mm } = createSpace();
    const page = await mapPages(mm, 3);
    await store(mm, page, 1);
    await unmap(mm, page + 1, 1);
    assert.equal(mm.vmas[0].anonVma, mm.vmas[1].anonVma);
    assert.equal(machine.anonVmaCount, 1);
    checkInvariants(machine);
    await unmap(mm, page, 1);
    assert.equal(machine.anonVmaCount, 1);
    await unmap(mm, page + 2, 1);
    assert.equal(machine.anonVmaCount, 0);
    checkInvariants(machine);
  });

  test("cannot be had when memory is short: the store fails, and later succeeds", async () => {
    const { machine, environment, mm } = createSpace();
    const page = await mapPages(mm, 1);
    environment.refuse("anon-vma");
    await assert.rejects(store(mm, page, 1), memoryError("ENOMEM", /page/));
    checkInvariants(machine);
    await store(mm, page, 1);
    checkInvariants(machine);
  });
});

describe("unmapping", () => {
  test("the middle leaves both ends, with their pages", async () => {
    const { machine, mm } = createSpace();
    const page = await mapPages(mm, 5);
    for (let i = 0; i < 5; i++) await store(mm, page + i, i);
    await unmap(mm, page + 1, 3);
    assert.equal(layout(mm, page), "0-1:3 4-5:3");
    assert.deepEqual([await load(mm, page), await load(mm, page + 4)], [0, 4]);
    assert.equal(mm.resident.usage, 2);
    machine.lru.drain();
    assert.equal(machine.host.charge.usage, 2);
    await assert.rejects(load(mm, page + 2), memoryError("EFAULT", /page/));
    checkInvariants(machine);
  });

  test("an end moves the VMA's bound", async () => {
    const { machine, mm } = createSpace();
    const page = await mapPages(mm, 5);
    await store(mm, page + 2, 2);
    await unmap(mm, page, 2);
    await unmap(mm, page + 4, 1);
    assert.equal(layout(mm, page), "2-4:3");
    assert.equal(await load(mm, page + 2), 2);
    checkInvariants(machine);
  });

  test("a range over several VMAs and holes takes all of it, and tells devices once", async () => {
    const { machine, mm } = createSpace();
    const page = await mapPages(mm, 2);
    await mapPages(mm, 2, { at: page + 3, protection: PROT_READ });
    await mapPages(mm, 2, { at: page + 6 });
    await store(mm, page + 1, 1);
    const listener = new Listener(mm);
    await unmap(mm, page + 1, 6);
    assert.equal(layout(mm, page), "0-1:3 7-8:3");
    assert.deepEqual(listener.take(), [["unmap", page + 1, page + 7]]);
    checkInvariants(machine);
  });

  test("what is not mapped is no error, and nobody hears of it", async () => {
    const { mm } = createSpace();
    const page = await mapPages(mm, 1);
    const listener = new Listener(mm);
    await unmap(mm, page + 10, 5);
    assert.deepEqual(listener.take(), []);
    assert.equal(layout(mm, page), "0-1:3");
  });

  test("gives zero pages up without counting them", async () => {
    const { machine, mm } = createSpace();
    const page = await mapPages(mm, 2);
    await load(mm, page);
    await unmap(mm, page, 2);
    assert.equal(mm.resident.usage, 0);
    checkInvariants(machine);
  });

  test("gives a page on a device back to its driver", async () => {
    const { machine, mm } = createSpace();
    const device = new TestDevice(machine, "private", 2);
    const page = await mapPages(mm, 2);
    await store(mm, page, 1);
    await device.migrateToDevice(mm, page);
    const frame = frameAt(mm, page);
    await unmap(mm, page, 1);
    assert.deepEqual(device.freed, [frame]);
    checkInvariants(machine);
  });

  test("keeps a pinned page for who pinned it", async () => {
    const { machine, mm } = createSpace();
    const page = await mapPages(mm, 1);
    await store(mm, page, 1);
    const frame = await pinPage(mm, page, true, DMA_PIN);
    await unmap(mm, page, 1);
    machine.lru.drain();
    assert.equal(machine.zones.bytes(frame)[0], 1);
    checkInvariants(machine, { references: [[frame, DMA_PIN]] });
    machine.put(frame, DMA_PIN);
    assert.equal(machine.host.charge.usage, 0);
    checkInvariants(machine);
  });

  test("refuses bounds that are no pages", async () => {
    const { mm } = createSpace();
    await assert.rejects(munmap(mm, 7, PAGE), memoryError("EINVAL", /address 7/));
    await assert.rejects(munmap(mm, 0, 7), memoryError("EINVAL", /length 7/));
    await assert.rejects(munmap(mm, 0, 0), memoryError("EINVAL", /length 0/));
    await assert.rejects(munmap(mm, 0, (ADDRESS_SPACE_PAGES + 1) * PAGE), memoryError("ENOMEM", /134217729/));
  });
});

describe("protecting", () => {
  test("the middle splits a VMA in three, and taking it back makes it one again", async () => {
    const { machine, mm } = createSpace();
    const page = await mapPages(mm, 5);
    await protect(mm, page + 1, 3, PROT_READ);
    assert.equal(layout(mm, page), "0-1:3 1-4:1 4-5:3");
    checkInvariants(machine);
    await protect(mm, page + 1, 3, RW);
    assert.equal(layout(mm, page), "0-5:3");
    checkInvariants(machine);
  });

  test("next to a neighbour of the same protection moves the bound between them", async () => {
    const { machine, mm } = createSpace();
    const page = await mapPages(mm, 6);
    await protect(mm, page + 4, 2, PROT_READ);
    await protect(mm, page + 3, 1, PROT_READ);
    assert.equal(layout(mm, page), "0-3:3 3-6:1");
    assert.deepEqual(
      mm.vmas.map(({ offset }) => offset - page),
      [0, 3],
    );
    await protect(mm, page + 3, 2, RW);
    assert.equal(layout(mm, page), "0-5:3 5-6:1");
    assert.deepEqual(
      mm.vmas.map(({ offset }) => offset - page),
      [0, 5],
    );
    checkInvariants(machine);
  });

  test("a part without pages joins a neighbour that has some", async () => {
    const { machine, mm } = createSpace();
    const page = await mapPages(mm, 4);
    await protect(mm, page + 2, 2, PROT_READ);
    await store(mm, page, 1);
    await protect(mm, page + 2, 2, RW);
    assert.equal(layout(mm, page), "0-4:3");
    checkInvariants(machine);
  });

  test("a part that has pages does not join a neighbour without", async () => {
    const { machine, mm } = createSpace();
    const page = await mapPages(mm, 4);
    await protect(mm, page + 2, 2, PROT_READ);
    await store(mm, page, 1);
    await protect(mm, page, 2, PROT_READ);
    assert.equal(layout(mm, page), "0-2:1 2-4:1");
    checkInvariants(machine);
  });

  test("a part between two neighbours makes one of the three", async () => {
    const { machine, mm } = createSpace();
    const page = await mapPages(mm, 6);
    await store(mm, page, 1);
    await protect(mm, page + 2, 2, PROT_READ);
    await store(mm, page + 4, 1);
    await protect(mm, page + 2, 2, RW);
    assert.equal(layout(mm, page), "0-6:3");
    checkInvariants(machine);
  });

  test("gives a VMA that is taken over by a neighbour's the soft-dirty mark of the part that changed", async () => {
    const { mm } = createSpace();
    const page = await mapPages(mm, 4);
    await protect(mm, page + 2, 2, PROT_READ);
    mm.vmas[0].flags &= ~VM_SOFTDIRTY;
    await protect(mm, page + 2, 2, RW);
    assert.equal(layout(mm, page), "0-4:3");
    assert.equal(mm.vmas[0].flags & VM_SOFTDIRTY, VM_SOFTDIRTY);
  });

  test("with what it is already changes nothing, and nobody hears of it", async () => {
    const { mm } = createSpace();
    const page = await mapPages(mm, 4);
    await store(mm, page, 1);
    const listener = new Listener(mm);
    await protect(mm, page + 1, 2, RW);
    assert.equal(layout(mm, page), "0-4:3");
    assert.deepEqual(listener.take(), []);
  });

  test("tells devices of the range from the first block with a page table on", async () => {
    const { mm } = createSpace();
    const page = await mapPages(mm, 3 * TABLE_WORDS);
    await store(mm, page + TABLE_WORDS + 5, 1);
    const listener = new Listener(mm);
    await protect(mm, page + 3, 2 * TABLE_WORDS, PROT_READ);
    const events = listener.take().filter(([event]) => event === "protection");
    assert.deepEqual(events, [["protection", page + TABLE_WORDS, page + 3 + 2 * TABLE_WORDS]]);
  });

  test("tells devices of each whole block through which it cuts a VMA", async () => {
    const { mm } = createSpace();
    const page = await mapPages(mm, 3 * TABLE_WORDS + 5);
    const listener = new Listener(mm);
    await protect(mm, page + 3, TABLE_WORDS, PROT_READ);
    assert.deepEqual(listener.take(), [], "nothing was ever mapped near");
    await store(mm, page + 2 * TABLE_WORDS, 1);
    await protect(mm, page + 3, 3 * TABLE_WORDS - 4, PROT_READ);
    // The VMA begins at the first cut, which does not move.
    assert.deepEqual(listener.take(), [
      ["clear", page + 2 * TABLE_WORDS, page + 3 * TABLE_WORDS],
      ["protection", page + 2 * TABLE_WORDS, page + 3 * TABLE_WORDS - 1],
    ]);
    // The last block is not within the VMA as a whole.
    await protect(mm, page + 3 * TABLE_WORDS + 1, 2, PROT_READ);
    assert.deepEqual(listener.take(), []);
  });

  test("tells devices nothing of a range without page tables", async () => {
    const { mm } = createSpace();
    const page = await mapPages(mm, 3);
    const listener = new Listener(mm);
    await protect(mm, page, 3, PROT_READ);
    assert.deepEqual(listener.take(), []);
  });

  test("up to a hole is ENOMEM after the part before the hole has changed", async () => {
    const { machine, mm } = createSpace();
    const page = await mapPages(mm, 2);
    await mapPages(mm, 2, { at: page + 3 });
    await assert.rejects(
      protect(mm, page + 1, 4, PROT_READ),
      memoryError("ENOMEM", new RegExp(`address ${(page + 2) * PAGE} is not mapped`)),
    );
    assert.equal(layout(mm, page), "0-1:3 1-2:1 3-5:3");
    checkInvariants(machine);
  });

  test("refuses what is no protection", async () => {
    const { mm } = createSpace();
    const page = await mapPages(mm, 2);
    await assert.rejects(protect(mm, page, 1, 8), memoryError("EINVAL", /protection 8/));
    assert.equal(layout(mm, page), "0-2:3");
  });

  test("from every access forbids the load, and allowing it again finds the bytes", async () => {
    const { machine, mm } = createSpace();
    const page = await mapPages(mm, 1);
    await store(mm, page, 7);
    await protect(mm, page, 1, PROT_NONE);
    await assert.rejects(load(mm, page), memoryError("EFAULT", /page/));
    checkInvariants(machine);
    await protect(mm, page, 1, PROT_READ);
    assert.equal(await load(mm, page), 7);
    await assert.rejects(store(mm, page, 8), memoryError("EFAULT", /page/));
    checkInvariants(machine);
  });
});

describe("advice", () => {
  test("sets a flag that splits a VMA, and equal advice makes it one again", async () => {
    const { machine, mm } = createSpace();
    const page = await mapPages(mm, 4);
    await advise(mm, page + 1, 2, "hugepage");
    assert.equal(mm.vmas.length, 3);
    assert.equal(mm.vmas[1].flags & VM_HUGEPAGE, VM_HUGEPAGE);
    await advise(mm, page, 4, "hugepage");
    assert.equal(mm.vmas.length, 1);
    checkInvariants(machine);
  });

  test("against takes the place of advice for", async () => {
    const { mm } = createSpace();
    const page = await mapPages(mm, 2);
    await advise(mm, page, 2, "hugepage");
    await advise(mm, page, 2, "nohugepage");
    assert.equal(mm.vmas[0].flags & (VM_HUGEPAGE | VM_NOHUGEPAGE), VM_NOHUGEPAGE);
  });

  test("over a hole is ENOMEM after all mapped parts have taken it", async () => {
    const { mm } = createSpace();
    const page = await mapPages(mm, 2);
    await mapPages(mm, 2, { at: page + 3 });
    await assert.rejects(
      advise(mm, page, 6, "hugepage"),
      memoryError("ENOMEM", new RegExp(`address ${(page + 2) * PAGE} is not mapped`)),
    );
    assert.deepEqual(
      mm.vmas.map(({ flags }) => (flags & VM_HUGEPAGE) !== 0),
      [true, true],
    );
  });
});

describe("pages that are not needed", () => {
  test("are zero at the next access, and the mapping stays", async () => {
    const { machine, mm } = createSpace();
    const page = await mapPages(mm, 3);
    for (let i = 0; i < 3; i++) await store(mm, page + i, i + 1);
    const listener = new Listener(mm);
    await dontNeed(mm, (page + 1) * PAGE, PAGE);
    assert.deepEqual(listener.take(), [["clear", page + 1, page + 2]]);
    assert.deepEqual([await load(mm, page), await load(mm, page + 1), await load(mm, page + 2)], [1, 0, 3]);
    assert.equal(layout(mm, page), "0-3:3");
    checkInvariants(machine);
  });

  test("go back to the device that has them, and to the host its retained frames", async () => {
    const { machine, mm } = createSpace();
    const device = new TestDevice(machine, "private", 2);
    const page = await mapPages(mm, 1, { home: true });
    await store(mm, page, 1);
    const home = frameAt(mm, page);
    await device.migrateToDevice(mm, page);
    assert.equal(machine.frames.flags(home) & PG_RETAINED, PG_RETAINED);
    await dontNeed(mm, page * PAGE, PAGE);
    assert.equal(device.freeFrames, 2);
    assert.equal(machine.host.charge.usage, 0);
    assert.equal(await load(mm, page), 0);
    checkInvariants(machine);
  });

  test("can be given up while others read under the mmap lock", async () => {
    const { mm } = createSpace();
    const page = await mapPages(mm, 1);
    await store(mm, page, 1);
    await mm.mmapLock.read();
    await dontNeed(mm, page * PAGE, PAGE);
    mm.mmapLock.readUnlock();
    assert.equal(word(mm, page), 0);
  });

  test("over a hole are ENOMEM after all mapped parts have gone", async () => {
    const { machine, mm } = createSpace();
    const page = await mapPages(mm, 1);
    await mapPages(mm, 1, { at: page + 2 });
    await store(mm, page, 1);
    await store(mm, page + 2, 2);
    await assert.rejects(dontNeed(mm, page * PAGE, 3 * PAGE), memoryError("ENOMEM", /is not mapped/));
    assert.deepEqual([word(mm, page), word(mm, page + 2)], [0, 0]);
    checkInvariants(machine);
  });

  test("cannot be said of a special mapping", async () => {
    const { mm } = createSpace();
    const page = await mapPages(mm, 1, { flags: VM_PFNMAP });
    await assert.rejects(dontNeed(mm, page * PAGE, PAGE), memoryError("EINVAL", /special mapping/));
  });
});

describe("a process that exits", () => {
  test("leaves nothing behind: no page, no table, no root, no device frame, no retained frame", async () => {
    const { machine, mm } = createSpace();
    const device = new TestDevice(machine, "private", 4);
    const page = await mapPages(mm, 6, { home: true });
    for (let i = 0; i < 4; i++) await store(mm, page + i, i);
    await load(mm, page + 4);
    await device.migrateToDevice(mm, page, 2);
    const other = await mapPages(mm, 2, { protection: PROT_READ });
    await load(mm, other);
    await exitAddressSpace(mm);
    machine.lru.drain();
    assert.equal(machine.tables.used, 0);
    assert.equal(machine.anonVmaCount, 0);
    assert.equal(machine.host.charge.usage, 0);
    assert.equal(mm.resident.usage, 0);
    assert.equal(device.freeFrames, 4);
    assert.equal(machine.addressSpaces.size, 0);
    checkInvariants(machine);
  });

  test("tells its devices that everything goes", async () => {
    const { mm } = createSpace();
    await mapPages(mm, 1);
    const listener = new Listener(mm);
    await exitAddressSpace(mm);
    assert.deepEqual(listener.take(), [["release", 0, ADDRESS_SPACE_PAGES]]);
  });

  test("waits for those who hold its mmap lock", async () => {
    const { machine, mm } = createSpace();
    await mm.mmapLock.read();
    const exit = exitAddressSpace(mm);
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(machine.addressSpaces.size, 1);
    mm.mmapLock.readUnlock();
    await exit;
    assert.equal(machine.addressSpaces.size, 0);
  });

  test("cannot map, nor exit again", async () => {
    const { mm } = createSpace();
    await exitAddressSpace(mm);
    await assert.rejects(mapPages(mm, 1), memoryError("EINVAL", /address space 1 has exited/));
    await assert.rejects(exitAddressSpace(mm), memoryError("EINVAL", /address space 1 has exited/));
  });

  test("does not disturb its neighbours", async () => {
    const { machine, mm } = createSpace();
    const other = machine.createAddressSpace();
    const [page, otherPage] = [await mapPages(mm, 1), await mapPages(other, 1)];
    await store(mm, page, 1);
    await store(other, otherPage, 2);
    await exitAddressSpace(mm);
    assert.equal(await load(other, otherPage), 2);
    checkInvariants(machine);
  });
});
