// Loads and stores of the CPU through the page table.

import assert from "node:assert/strict";
import { test } from "node:test";
import { AccessFault, loadWord, storeWord, touch } from "../../src/access/cpu.js";
import {
  FAULT_DONE,
  FAULT_WRITE,
  faultIn,
  isDevicePrivateEntry,
  Machine,
  MemoryError,
  mmap,
  mprotect,
  munmap,
  PTE_DIRTY,
  PTE_SOFT_DIRTY,
  PTE_WRITE,
  PTE_YOUNG,
  vmaFlags,
} from "../../src/mm/index.js";
import { SHARED } from "../builders.js";
import { TestDevice } from "../test-device.js";

const PAGE = 4096;

async function mapped(pages = 4, budget = 64) {
  const machine = new Machine({ pageSize: PAGE, hostBudget: budget * PAGE, shared: SHARED });
  const mm = machine.createAddressSpace();
  const address = await mmap(mm, { length: pages * PAGE });
  return { machine, mm, address, first: address / PAGE };
}

test("a word reads as it was stored, at any place of any page, and zero where nothing was", async () => {
  const { mm, address } = await mapped();
  await storeWord(mm, address + 4, 0xffff_fffe);
  await storeWord(mm, address + 3 * PAGE - 4, 7);
  assert.equal(await loadWord(mm, address + 4), 0xffff_fffe);
  assert.equal(await loadWord(mm, address + 3 * PAGE - 4), 7);
  assert.equal(await loadWord(mm, address), 0);
  assert.equal(await loadWord(mm, address + PAGE), 0);
});

test("a load of an untouched page takes no memory; a store takes one page", async () => {
  const { machine, mm, address } = await mapped();
  await loadWord(mm, address);
  assert.equal(machine.host.charge.usage, 0);
  await storeWord(mm, address, 1);
  assert.equal(machine.host.charge.usage, 1);
});

test("an access marks its entry young, a store also dirty, as the processor does: nothing else changes", async () => {
  const { mm, address, first } = await mapped();
  await storeWord(mm, address, 1);
  const { pageTable } = mm;
  const fresh = pageTable.read(first) & ~(PTE_YOUNG | PTE_DIRTY | PTE_SOFT_DIRTY);
  pageTable.exchange(first, fresh);
  await loadWord(mm, address);
  assert.equal(pageTable.read(first), fresh | PTE_YOUNG);
  await storeWord(mm, address, 2);
  assert.equal(pageTable.read(first), fresh | PTE_YOUNG | PTE_DIRTY);
});

test("a store through an entry that a fault made writable is the processor's: a fault would mark it soft-dirty too", async () => {
  const { mm, address, first } = await mapped();
  await storeWord(mm, address, 1);
  const { pageTable } = mm;
  const clean = pageTable.read(first) & ~(PTE_YOUNG | PTE_DIRTY | PTE_SOFT_DIRTY);
  pageTable.exchange(first, clean);
  assert.equal(await faultIn(mm, first, FAULT_WRITE), FAULT_DONE);
  assert.equal(pageTable.read(first), clean | PTE_YOUNG | PTE_DIRTY | PTE_SOFT_DIRTY);
});

test("a store to a page that a device gives back leaves the entry as it came back, but young and dirty", async () => {
  const { machine, mm, address, first } = await mapped();
  const device = new TestDevice(machine, "private", 4);
  await storeWord(mm, address, 1);
  await device.migrateToDevice(mm, first);
  const away = mm.pageTable.read(first);
  assert.ok(isDevicePrivateEntry(away));
  mm.pageTable.exchange(first, away & ~PTE_SOFT_DIRTY);
  await storeWord(mm, address, 2);
  const back = mm.pageTable.read(first);
  assert.equal(device.faults, 1);
  assert.equal(back & (PTE_WRITE | PTE_YOUNG | PTE_DIRTY | PTE_SOFT_DIRTY), PTE_WRITE | PTE_YOUNG | PTE_DIRTY);
  assert.equal(await loadWord(mm, address), 2);
});

test("touching gives the frame that holds the page, and refuses what would have to fault", async () => {
  const { machine, mm, address, first } = await mapped();
  assert.equal(touch(mm, first, false), -1);
  await loadWord(mm, address);
  assert.deepEqual([touch(mm, first, false), touch(mm, first, true)], [0, -1]);
  await storeWord(mm, address, 9);
  const frame = touch(mm, first, true);
  assert.equal(machine.zones.bytes(frame)[0], 9);
});

test("an access that the mapping does not allow is a segmentation fault, with the address", async () => {
  const { mm, address } = await mapped();
  await storeWord(mm, address, 1);
  const segfault = (name: string) => (error: unknown) => {
    assert.ok(error instanceof AccessFault);
    assert.deepEqual([error.code, error.signal], ["EFAULT", "SIGSEGV"]);
    assert.match(error.message, new RegExp(`${name} address ${address}\\b`));
    return true;
  };
  await mprotect(mm, address, PAGE, vmaFlags.PROT_READ);
  await assert.rejects(storeWord(mm, address, 2), segfault("store to"));
  assert.equal(await loadWord(mm, address), 1);
  await mprotect(mm, address, PAGE, vmaFlags.PROT_NONE);
  await assert.rejects(loadWord(mm, address), segfault("load from"));
  await munmap(mm, address, PAGE);
  await assert.rejects(loadWord(mm, address), segfault("load from"));
});

test("an access to a special mapping is a bus error", async () => {
  const { mm } = await mapped();
  const address = await mmap(mm, { length: PAGE, flags: vmaFlags.VM_PFNMAP });
  await assert.rejects(loadWord(mm, address), (error) => error instanceof AccessFault && error.signal === "SIGBUS");
});

test("a store that no memory is left for is ENOMEM, and changes nothing", async () => {
  const { machine, mm, address } = await mapped(4, 2);
  await storeWord(mm, address, 1);
  await storeWord(mm, address + PAGE, 2);
  await assert.rejects(
    storeWord(mm, address + 2 * PAGE, 3),
    (error) => error instanceof MemoryError && error.code === "ENOMEM",
  );
  assert.equal(machine.host.charge.usage, 2);
  assert.deepEqual([await loadWord(mm, address), await loadWord(mm, address + 2 * PAGE)], [1, 0]);
});

test("an address that is no word's, or beyond every mapping, is refused", async () => {
  const { mm, address } = await mapped();
  await assert.rejects(loadWord(mm, address + 2), /EINVAL: address \d+ is not a multiple of 4/);
  await assert.rejects(storeWord(mm, -4, 1), /EINVAL: address -4 is not a multiple of 4/);
  await assert.rejects(loadWord(mm, PAGE * 2 ** 27), AccessFault);
});
