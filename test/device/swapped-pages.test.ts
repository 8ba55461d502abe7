// A device writes host pages in place, also such as are in the swap cache: their `private` word is a slot, not a home frame.

import assert from "node:assert/strict";
import { test } from "node:test";
import { loadWord, storeWord } from "../../src/access/cpu.js";
import { AttachedDevice } from "../../src/device/attached-device.js";
import { deviceRead, deviceWrite } from "../../src/device/device-access.js";
import { mirrorDevice } from "../../src/device/mirror/index.js";
import {
  createPageCache,
  exitAddressSpace,
  Machine,
  MemorySwapStore,
  mmap,
  pageOut,
  swapOn,
} from "../../src/mm/index.js";
import { SHARED } from "../builders.js";
import { checkInvariants } from "../invariants.js";

const PAGE = 4096;

test("a device writes pages of the swap cache in place, and every count stays right", async () => {
  const machine = new Machine({ pageSize: PAGE, shared: SHARED });
  swapOn(machine, new MemorySwapStore(64));
  const attached = await AttachedDevice.attach(machine, mirrorDevice({ budget: 8 * PAGE }));
  const mm = machine.createAddressSpace();
  const address = await mmap(mm, { length: 4 * PAGE });
  for (let i = 0; i < 4; i++) await storeWord(mm, address + i * PAGE, i + 1);
  await pageOut(mm, address, 4 * PAGE);
  for (let i = 0; i < 4; i++) assert.equal(await loadWord(mm, address + i * PAGE), i + 1);
  await deviceWrite(attached, mm, address / PAGE, new Uint8Array(4 * PAGE).fill(7));
  checkInvariants(machine);
  assert.equal(await loadWord(mm, address), 0x07070707);
  await exitAddressSpace(mm);
  attached.forget(mm);
  machine.lru.drain();
  checkInvariants(machine);
  assert.equal(machine.host.charge.usage, 0);
  assert.equal(machine.swap?.used, 0);
});

test("what only a device stored to shared memory is kept when the page is paged out", async () => {
  const machine = new Machine({ pageSize: PAGE, shared: SHARED });
  swapOn(machine, new MemorySwapStore(64));
  const attached = await AttachedDevice.attach(machine, mirrorDevice({ budget: 8 * PAGE }));
  const mm = machine.createAddressSpace();
  const object = createPageCache(machine, 1);
  const address = await mmap(mm, { length: PAGE, file: object, shared: true });
  // The read maps the page writable, so that the store needs no fault of the CPU.
  await deviceRead(attached, mm, address / PAGE, address / PAGE + 1);
  await deviceWrite(attached, mm, address / PAGE, new Uint8Array(PAGE).fill(7));
  await pageOut(mm, address, PAGE);
  checkInvariants(machine);
  assert.equal(await loadWord(mm, address), 0x07070707);
});
