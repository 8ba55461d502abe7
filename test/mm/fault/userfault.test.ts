// Faults that a program handles itself: the access waits until the handler has settled, then finds what the handler made.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { loadWord, storeWord } from "../../../src/access/cpu.js";
import { createPageCache } from "../../../src/mm/stores.js";
import type { AddressSpace } from "../../../src/mm/space/address-space.js";
import { isSwapEntry, isZeroPageEntry, PTE_PRESENT, PTE_UFFD_WP, PTE_WRITE } from "../../../src/mm/table/entry.js";
import { forkAddressSpace } from "../../../src/mm/copy/fork.js";
import { madvise, munmap } from "../../../src/mm/space/mapping.js";
import { pageOut } from "../../../src/mm/swap/pageout.js";
import { mremap } from "../../../src/mm/space/remap.js";
import {
  fillMissing,
  registerUserfault,
  unregisterUserfault,
  type Userfault,
  type UserfaultModes,
  writeProtect,
} from "../../../src/mm/fault/userfault.js";
import { TABLE_WORDS } from "../../../src/mm/table/page-table.js";
import { VM_UFFD_FLAGS } from "../../../src/mm/space/vma.js";
import {
  createMachine,
  everybodyWaits,
  Gate,
  mapPages,
  memoryError,
  PAGE,
  TestSwapStore,
  word,
} from "../../builders.js";
import { checkInvariants } from "../../invariants.js";
import { Listener, TestDevice } from "../../test-device.js";

/** A registered range; `heard` are the faults that reached the program, `handle` is what it does about them. */
async function registered(modes: UserfaultModes, pages = 4) {
  const swap = new TestSwapStore();
  const { machine } = createMachine({ swap });
  const mm = machine.createAddressSpace();
  const page = await mapPages(mm, pages);
  const heard: string[] = [];
  const program = { handle: (_fault: Userfault): Promise<void> => Promise.resolve() };
  const handler = (fault: Userfault): Promise<void> => {
    heard.push(`${fault.write ? "write" : "read"} of ${fault.page - page}: ${fault.kind}`);
    return program.handle(fault);
  };
  await registerUserfault(mm, page * PAGE, pages * PAGE, modes, handler);
  return { machine, mm, page, heard, program, handler };
}

const put = (mm: AddressSpace, page: number, value: number) => storeWord(mm, page * PAGE, value);
const get = (mm: AddressSpace, page: number) => loadWord(mm, page * PAGE);

describe("a missing page", () => {
  test("is what the program fills it with, for a read as for a write, and faults once", async () => {
    const { machine, mm, page, heard, program } = await registered({ missing: true });
    program.handle = ({ page: missing }) =>
      fillMissing(mm, missing * PAGE, new Uint8Array(PAGE).fill(missing - page + 1));
    assert.equal(await get(mm, page + 1), 0x02020202);
    await put(mm, page + 2, 5);
    assert.deepEqual([await get(mm, page + 2), await loadWord(mm, (page + 2) * PAGE + 4)], [5, 0x03030303]);
    assert.deepEqual(heard, ["read of 1: missing", "write of 2: missing"]);
    checkInvariants(machine);
  });

  test("can be the zero page, which a write replaces without asking again", async () => {
    const { machine, mm, page, heard, program } = await registered({ missing: true });
    program.handle = ({ page: missing }) => fillMissing(mm, missing * PAGE, null);
    assert.equal(await get(mm, page), 0);
    assert.ok(isZeroPageEntry(word(mm, page)));
    await put(mm, page, 1);
    assert.deepEqual(heard, ["read of 0: missing"]);
    checkInvariants(machine);
  });

  test("lets accesses of other pages go on while the program is at work, and asks again when nothing was filled", async () => {
    const { machine, mm, page, heard, program } = await registered({ missing: true });
    await fillMissing(mm, page * PAGE, new Uint8Array(PAGE));
    const gate = new Gate();
    program.handle = () => gate.pass();
    const access = get(mm, page + 1);
    await gate.reached;
    await put(mm, page, 1);
    program.handle = ({ page: missing }) => fillMissing(mm, missing * PAGE, new Uint8Array(PAGE).fill(9));
    gate.open();
    assert.equal(await access, 0x09090909);
    assert.deepEqual(heard, ["read of 1: missing", "read of 1: missing"]);
    checkInvariants(machine);
  });

  test("fails the access when the program fails, and stays missing", async () => {
    const { machine, mm, page, program } = await registered({ missing: true });
    program.handle = () => Promise.reject(new Error("no such data"));
    await assert.rejects(get(mm, page), /no such data/);
    assert.equal(word(mm, page), 0);
    checkInvariants(machine);
  });

  test("that is unmapped while the program is at work ends the access", async () => {
    const { machine, mm, page, program } = await registered({ missing: true });
    program.handle = () => munmap(mm, page * PAGE, PAGE);
    await assert.rejects(get(mm, page), memoryError("EFAULT", /does not allow/));
    checkInvariants(machine);
  });

  test("of a mapping that asks for huge pages is asked for page by page", async () => {
    const { machine, mm, page, heard, program } = await registered({ missing: true }, TABLE_WORDS);
    await madvise(mm, page * PAGE, TABLE_WORDS * PAGE, "hugepage");
    program.handle = ({ page: missing }) => fillMissing(mm, missing * PAGE, new Uint8Array(PAGE));
    await put(mm, page + 7, 1);
    assert.deepEqual(heard, ["write of 7: missing"]);
    assert.equal(mm.pageTable.huge(page), 0);
    checkInvariants(machine);
  });

  test("does not go to a device by itself", async () => {
    const { machine, mm, page, heard } = await registered({ missing: true });
    const device = new TestDevice(machine, "private", 4);
    assert.deepEqual(await device.migrateToDevice(mm, page, 2), [false, false]);
    assert.deepEqual(heard, []);
    checkInvariants(machine);
  });

  test("that is there already is not filled", async () => {
    const { machine, mm, page } = await registered({ missing: true });
    await fillMissing(mm, page * PAGE, new Uint8Array(PAGE).fill(1));
    await assert.rejects(fillMissing(mm, page * PAGE, new Uint8Array(PAGE)), memoryError("EEXIST", /is there already/));
    assert.equal(await get(mm, page), 0x01010101);
    checkInvariants(machine);
  });
});

describe("a write-protected page", () => {
  test("is read freely, and written once the program has let go of it", async () => {
    const { machine, mm, page, heard, program } = await registered({ writeProtected: true });
    await put(mm, page, 1);
    const listener = new Listener(mm);
    await writeProtect(mm, page * PAGE, 2 * PAGE, true);
    assert.deepEqual(listener.take(), [["protection", page, page + 2]]);
    assert.equal(word(mm, page) & (PTE_WRITE | PTE_UFFD_WP), PTE_UFFD_WP);
    assert.equal(await get(mm, page), 1);
    program.handle = ({ page: at }) => writeProtect(mm, at * PAGE, PAGE, false);
    await put(mm, page, 2);
    await put(mm, page + 1, 3);
    assert.deepEqual(heard, ["write of 0: write-protected"]);
    assert.deepEqual([await get(mm, page), await get(mm, page + 1)], [2, 3]);
    checkInvariants(machine);
  });

  test("stays protected in swap, on a device and back", async () => {
    const { machine, mm, page, heard, program } = await registered({ writeProtected: true });
    const device = new TestDevice(machine, "private", 4);
    for (const i of [0, 1]) await put(mm, page + i, 10 + i);
    await writeProtect(mm, page * PAGE, 2 * PAGE, true);
    assert.deepEqual(await device.migrateToDevice(mm, page), [true]);
    await pageOut(mm, (page + 1) * PAGE, PAGE);
    assert.ok(isSwapEntry(word(mm, page + 1)));
    program.handle = ({ page: at }) => writeProtect(mm, at * PAGE, PAGE, false);
    for (const i of [0, 1]) {
      assert.equal(await get(mm, page + i), 10 + i);
      assert.equal(word(mm, page + i) & (PTE_PRESENT | PTE_WRITE | PTE_UFFD_WP), PTE_PRESENT | PTE_UFFD_WP);
      await put(mm, page + i, 20 + i);
    }
    assert.deepEqual(heard, ["write of 0: write-protected", "write of 1: write-protected"]);
    checkInvariants(machine);
  });

  test("is protected while it is on a device, and comes home protected", async () => {
    const { machine, mm, page, heard, program } = await registered({ writeProtected: true });
    const device = new TestDevice(machine, "private", 4);
    await put(mm, page, 1);
    assert.deepEqual(await device.migrateToDevice(mm, page), [true]);
    await writeProtect(mm, page * PAGE, PAGE, true);
    program.handle = ({ page: at }) => writeProtect(mm, at * PAGE, PAGE, false);
    await put(mm, page, 2);
    assert.deepEqual(heard, ["write of 0: write-protected"]);
    checkInvariants(machine);
  });

  test("is free for a child, which nobody registered", async () => {
    const { machine, mm, page, heard } = await registered({ writeProtected: true });
    await put(mm, page, 1);
    await writeProtect(mm, page * PAGE, PAGE, true);
    const child = await forkAddressSpace(mm);
    await put(child, page, 2);
    assert.deepEqual([heard, await get(mm, page), await get(child, page)], [[], 1, 2]);
    assert.equal((child.vmaAt(page)?.flags ?? 0) & VM_UFFD_FLAGS, 0);
    checkInvariants(machine);
  });

  test("under a huge entry is protected with its block, or splits it", async () => {
    const { machine, mm, page, heard, program } = await registered({ writeProtected: true }, 2 * TABLE_WORDS);
    await madvise(mm, page * PAGE, 2 * TABLE_WORDS * PAGE, "hugepage");
    await put(mm, page, 1);
    await put(mm, page + TABLE_WORDS, 2);
    await writeProtect(mm, page * PAGE, (TABLE_WORDS + 3) * PAGE, true);
    assert.notEqual(mm.pageTable.huge(page) & PTE_UFFD_WP, 0);
    assert.equal(mm.pageTable.huge(page + TABLE_WORDS), 0);
    checkInvariants(machine);
    program.handle = ({ page: at }) => writeProtect(mm, at * PAGE, PAGE, false);
    await put(mm, page + 9, 3);
    await put(mm, page + TABLE_WORDS + 3, 4);
    assert.deepEqual(heard, ["write of 9: write-protected"]);
    assert.deepEqual([await get(mm, page), await get(mm, page + 9)], [1, 3]);
    checkInvariants(machine);
  });
});

describe("registering", () => {
  test("is undone by unregistering, which frees the pages", async () => {
    const { machine, mm, page, heard } = await registered({ missing: true, writeProtected: true });
    await fillMissing(mm, page * PAGE, new Uint8Array(PAGE));
    await writeProtect(mm, page * PAGE, PAGE, true);
    await unregisterUserfault(mm, page * PAGE, 4 * PAGE);
    await put(mm, page, 1);
    await put(mm, page + 1, 1);
    assert.deepEqual([heard, mm.userfault, mm.vmas.length], [[], null, 1]);
    checkInvariants(machine);
  });

  test("ends for what is moved elsewhere", async () => {
    const { machine, mm, page, heard } = await registered({ missing: true });
    const moved = (await mremap(mm, page * PAGE, 4 * PAGE)) / PAGE;
    assert.equal(await get(mm, moved), 0);
    assert.deepEqual(heard, []);
    checkInvariants(machine);
  });

  test("is refused without a mode, over holes, for objects and for a second handler; nothing is registered then", async () => {
    const { machine, mm, page, handler } = await registered({ missing: true });
    const other = () => Promise.resolve();
    await assert.rejects(registerUserfault(mm, page * PAGE, PAGE, {}, handler), memoryError("EINVAL", /needs a mode/));
    await assert.rejects(
      registerUserfault(mm, page * PAGE, PAGE, { missing: true }, other),
      memoryError("EBUSY", /another/),
    );
    await assert.rejects(
      registerUserfault(mm, page * PAGE, 5 * PAGE, { writeProtected: true }, handler),
      memoryError("ENOMEM", /is not mapped/),
    );
    const object = createPageCache(machine, 1);
    const shared = await mapPages(mm, 1, { file: object, shared: true });
    await assert.rejects(
      registerUserfault(mm, shared * PAGE, PAGE, { missing: true }, handler),
      memoryError("EINVAL", /not private anonymous/),
    );
    await assert.rejects(writeProtect(mm, page * PAGE, PAGE, true), memoryError("ENOENT", /not registered/));
    await assert.rejects(fillMissing(mm, shared * PAGE, null), memoryError("ENOENT", /not registered/));
    checkInvariants(machine);
  });

  test("lets two accesses of one page wait for one program each, and both find the page", async () => {
    const { machine, mm, page, program } = await registered({ missing: true });
    program.handle = async ({ page: missing }) => {
      await everybodyWaits();
      await fillMissing(mm, missing * PAGE, new Uint8Array(PAGE).fill(1)).catch((error: unknown) => {
        memoryError("EEXIST", /already/)(error);
      });
    };
    assert.deepEqual(await Promise.all([get(mm, page), get(mm, page)]), [0x01010101, 0x01010101]);
    checkInvariants(machine);
  });
});
