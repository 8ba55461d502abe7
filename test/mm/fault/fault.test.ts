// Faults of the CPU: zero pages, first writes, copies and reuse, waiting for a page that migrates, pages on a device.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { AddressSpace } from "../../../src/mm/space/address-space.js";
import {
  isDevicePrivateEntry,
  isMigrationEntry,
  PTE_DIRTY,
  PTE_EXCLUSIVE,
  PTE_MAKE_DIRTY,
  PTE_NO_ACCESS,
  PTE_PRESENT,
  PTE_SOFT_DIRTY,
  PTE_UFFD_WP,
  PTE_WRITE,
  PTE_YOUNG,
} from "../../../src/mm/table/entry.js";
import {
  FAULT_DEVICE,
  FAULT_DONE,
  FAULT_OOM,
  FAULT_SIGBUS,
  FAULT_SIGSEGV,
  FAULT_UNSHARE,
  FAULT_WAIT,
  FAULT_WRITE,
  faultCode,
  faultFrame,
  faultIn,
  handleFault,
} from "../../../src/mm/fault/fault.js";
import type { Machine } from "../../../src/mm/machine.js";
import { exitAddressSpace, mprotect, munmap } from "../../../src/mm/space/mapping.js";
import { PROT_EXEC, PROT_NONE, PROT_READ, PROT_WRITE, VM_IO, VM_PFNMAP, VM_SHARED } from "../../../src/mm/space/vma.js";
import { MIGRATE_VMA_SELECT_SYSTEM } from "../../../src/migrate/entry.js";
import { migrateVmaFinalize } from "../../../src/migrate/finalize.js";
import { migrateVmaSetup } from "../../../src/migrate/setup.js";
import { createMachine, frameAt, load, mapPages, memoryError, migration, PAGE, store, word } from "../../builders.js";
import { SeededEnvironment } from "../../environments.js";
import { checkInvariants } from "../../invariants.js";
import { Listener, TestDevice } from "../../test-device.js";

const BITS = 0xff;
const WRITTEN = PTE_PRESENT | PTE_WRITE | PTE_YOUNG | PTE_DIRTY | PTE_SOFT_DIRTY | PTE_EXCLUSIVE;

async function createPages(pages: number, options: Parameters<typeof mapPages>[2] = {}) {
  const { machine, environment } = createMachine();
  const mm = machine.createAddressSpace();
  const page = await mapPages(mm, pages, options);
  return { machine, environment, mm, page };
}

function bitsOf(mm: AddressSpace, page: number): number {
  return word(mm, page) & BITS;
}

/** Makes the page one that more than its entry may use: not exclusive, read-only. */
function share(mm: AddressSpace, page: number): void {
  mm.pageTable.exchange(page, word(mm, page) & ~(PTE_WRITE | PTE_EXCLUSIVE | PTE_DIRTY));
}

function countFaults(machine: Machine): number {
  return machine.counters.faults;
}

describe("a read of a hole", () => {
  test("maps the zero page, read-only, young, not soft-dirty, and counts no resident page", async () => {
    const { machine, mm, page } = await createPages(1);
    assert.equal(handleFault(mm, page, 0), FAULT_DONE);
    assert.equal(word(mm, page), PTE_PRESENT | PTE_YOUNG);
    assert.equal(mm.resident.usage, 0);
    assert.equal(machine.host.charge.usage, 0);
    assert.equal(countFaults(machine), 1);
    checkInvariants(machine);
  });

  test("tells devices nothing", async () => {
    const { mm, page } = await createPages(1);
    const listener = new Listener(mm);
    await load(mm, page);
    assert.deepEqual(listener.take(), []);
  });
});

describe("a write to a hole", () => {
  test("maps a new page of zeros: writable, young, dirty, soft-dirty, its own", async () => {
    const { machine, mm, page } = await createPages(1);
    const listener = new Listener(mm);
    assert.equal(handleFault(mm, page, FAULT_WRITE), FAULT_DONE);
    assert.equal(bitsOf(mm, page), WRITTEN);
    assert.ok(machine.zones.bytes(frameAt(mm, page)).every((byte) => byte === 0));
    assert.equal(mm.resident.usage, 1);
    assert.equal(machine.frames.refcount(frameAt(mm, page)), 2, "the entry's and the LRU batch's");
    assert.deepEqual(listener.take(), []);
    checkInvariants(machine);
  });

  for (const site of ["table", "anon-vma", "frame", "charge"] as const) {
    test(`is out of memory when there is none for the ${site}, changes nothing, and succeeds later`, async () => {
      const { machine, environment, mm, page } = await createPages(1);
      environment.refuse(site);
      assert.equal(handleFault(mm, page, FAULT_WRITE), FAULT_OOM);
      assert.equal(word(mm, page), 0);
      assert.equal(mm.resident.usage, 0);
      assert.equal(machine.host.charge.usage, 0);
      checkInvariants(machine);
      assert.equal(handleFault(mm, page, FAULT_WRITE), FAULT_DONE);
      checkInvariants(machine);
    });
  }

  test("is out of memory beyond the limit of resident pages", async () => {
    const { machine, mm, page } = await createPages(2);
    mm.resident.limit = 1;
    await store(mm, page, 1);
    await assert.rejects(store(mm, page + 1, 2), memoryError("ENOMEM", /page/));
    checkInvariants(machine);
  });
});

describe("a write to the zero page", () => {
  test("tells devices of the page, and maps a new one", async () => {
    const { machine, mm, page } = await createPages(1);
    await load(mm, page);
    const listener = new Listener(mm);
    assert.equal(handleFault(mm, page, FAULT_WRITE), FAULT_DONE);
    assert.deepEqual(listener.take(), [["clear", page, page + 1]]);
    assert.equal(bitsOf(mm, page), WRITTEN);
    assert.equal(await load(mm, page), 0);
    assert.equal(mm.resident.usage, 1);
    checkInvariants(machine);
  });

  test("that finds no memory leaves it mapped", async () => {
    const { machine, environment, mm, page } = await createPages(1);
    await load(mm, page);
    environment.refuse("frame");
    assert.equal(handleFault(mm, page, FAULT_WRITE), FAULT_OOM);
    assert.equal(word(mm, page), PTE_PRESENT | PTE_YOUNG);
    checkInvariants(machine);
  });
});

describe("a write to a page that is read-only", () => {
  test("reuses it when it is exclusive; devices hear nothing", async () => {
    const { machine, mm, page } = await createPages(1);
    await store(mm, page, 5);
    const frame = frameAt(mm, page);
    mm.pageTable.exchange(page, word(mm, page) & ~(PTE_WRITE | PTE_DIRTY | PTE_SOFT_DIRTY | PTE_YOUNG));
    const listener = new Listener(mm);
    assert.equal(handleFault(mm, page, FAULT_WRITE), FAULT_DONE);
    assert.equal(frameAt(mm, page), frame);
    assert.equal(bitsOf(mm, page), WRITTEN);
    assert.deepEqual(listener.take(), []);
    checkInvariants(machine);
  });

  test("reuses it when nobody else refers to it, once the LRU batch is drained", async () => {
    const { machine, mm, page } = await createPages(1);
    await store(mm, page, 5);
    const frame = frameAt(mm, page);
    share(mm, page);
    assert.equal(machine.frames.refcount(frame), 2);
    assert.equal(handleFault(mm, page, FAULT_WRITE), FAULT_DONE);
    assert.equal(frameAt(mm, page), frame);
    assert.equal(bitsOf(mm, page), WRITTEN);
    assert.deepEqual(machine.lru.batched, []);
    checkInvariants(machine);
  });

  test("copies it when somebody else refers to it, and tells devices of the page", async () => {
    const { machine, mm, page } = await createPages(1);
    await store(mm, page, 5);
    const frame = frameAt(mm, page);
    machine.frames.get(frame);
    share(mm, page);
    const listener = new Listener(mm);
    await store(mm, page, 6);
    assert.notEqual(frameAt(mm, page), frame);
    assert.deepEqual(listener.take(), [["clear", page, page + 1]]);
    assert.equal(machine.zones.bytes(frame)[0], 5);
    assert.equal(await load(mm, page), 6);
    assert.equal(mm.resident.usage, 1);
    assert.equal(machine.frames.mapcount(frame), 0);
    machine.lru.drain();
    checkInvariants(machine, { references: [[frame, 1]] });
    machine.put(frame);
    checkInvariants(machine);
  });

  test("keeps the old bytes in the copy", async () => {
    const { machine, mm, page } = await createPages(1);
    await store(mm, page, 5);
    machine.frames.get(frameAt(mm, page));
    share(mm, page);
    handleFault(mm, page, FAULT_WRITE);
    assert.equal(await load(mm, page), 5);
  });

  test("copies it when somebody holds its lock", async () => {
    const { machine, mm, page } = await createPages(1);
    await store(mm, page, 5);
    machine.lru.drain();
    const frame = frameAt(mm, page);
    share(mm, page);
    machine.frames.get(frame);
    machine.frames.tryLock(frame);
    machine.put(frame);
    handleFault(mm, page, FAULT_WRITE);
    assert.notEqual(frameAt(mm, page), frame);
  });

  test("that finds no memory for the copy leaves everything as it was", async () => {
    for (const site of ["frame", "charge"] as const) {
      const { machine, environment, mm, page } = await createPages(1);
      await store(mm, page, 5);
      const frame = frameAt(mm, page);
      machine.frames.get(frame);
      share(mm, page);
      const before = word(mm, page);
      environment.refuse(site);
      assert.equal(handleFault(mm, page, FAULT_WRITE), FAULT_OOM);
      assert.equal(word(mm, page), before);
      checkInvariants(machine, { references: [[frame, 1]] });
    }
  });

  test("on a coherent device copies it to the host when it must, and gives the device's frame back", async () => {
    const { machine, mm, page } = await createPages(1);
    const device = new TestDevice(machine, "coherent", 1);
    await store(mm, page, 5);
    await device.migrateToDevice(mm, page);
    const frame = frameAt(mm, page);
    machine.frames.get(frame);
    share(mm, page);
    await store(mm, page, 6);
    assert.equal(device.holds(frameAt(mm, page)), false);
    machine.put(frame);
    assert.deepEqual(device.freed, [frame]);
    assert.equal(await load(mm, page), 6);
    checkInvariants(machine);
  });
});

describe("a fault on an entry that allows the access already", () => {
  test("marks it young for a read", async () => {
    const { machine, mm, page } = await createPages(1);
    await store(mm, page, 5);
    mm.pageTable.exchange(page, word(mm, page) & ~(PTE_YOUNG | PTE_MAKE_DIRTY));
    const before = word(mm, page);
    assert.equal(handleFault(mm, page, 0), FAULT_DONE);
    assert.equal(word(mm, page), before | PTE_YOUNG);
    checkInvariants(machine);
  });

  test("does not make a shared page its own by reading it", async () => {
    const { machine, mm, page } = await createPages(1);
    await store(mm, page, 5);
    share(mm, page);
    const before = word(mm, page);
    assert.equal(handleFault(mm, page, 0), FAULT_DONE);
    assert.equal(word(mm, page), before | PTE_YOUNG);
    checkInvariants(machine);
  });

  test("marks it young, dirty and soft-dirty for a write", async () => {
    const { machine, mm, page } = await createPages(1);
    await store(mm, page, 5);
    mm.pageTable.exchange(page, word(mm, page) & ~(PTE_YOUNG | PTE_MAKE_DIRTY));
    const before = word(mm, page);
    assert.equal(handleFault(mm, page, FAULT_WRITE), FAULT_DONE);
    assert.equal(word(mm, page), before | PTE_YOUNG | PTE_MAKE_DIRTY);
    checkInvariants(machine);
  });
});

describe("a fault that unshares", () => {
  test("copies a page that others refer to, read-only and exclusive, with its tracking bits", async () => {
    const { machine, mm, page } = await createPages(1);
    await store(mm, page, 5);
    const frame = frameAt(mm, page);
    machine.frames.get(frame);
    share(mm, page);
    mm.pageTable.exchange(page, word(mm, page) | PTE_SOFT_DIRTY | PTE_UFFD_WP);
    assert.equal(handleFault(mm, page, FAULT_UNSHARE), FAULT_DONE);
    assert.notEqual(frameAt(mm, page), frame);
    assert.equal(bitsOf(mm, page), PTE_PRESENT | PTE_YOUNG | PTE_EXCLUSIVE | PTE_SOFT_DIRTY | PTE_UFFD_WP);
    assert.equal(await load(mm, page), 5);
    machine.put(frame);
    checkInvariants(machine);
  });

  test("makes a page that nobody else refers to exclusive, without making it writable or dirty", async () => {
    const { machine, mm, page } = await createPages(1);
    await store(mm, page, 5);
    share(mm, page);
    const before = word(mm, page);
    assert.equal(handleFault(mm, page, FAULT_UNSHARE), FAULT_DONE);
    assert.equal(word(mm, page), before | PTE_EXCLUSIVE);
    checkInvariants(machine);
  });

  test("leaves the zero page, which nobody writes", async () => {
    const { machine, mm, page } = await createPages(1);
    await load(mm, page);
    assert.equal(handleFault(mm, page, FAULT_UNSHARE), FAULT_DONE);
    assert.equal(frameAt(mm, page), 0);
    checkInvariants(machine);
  });
});

describe("a fault that the mapping does not allow", () => {
  const cases: [what: string, protection: number, flags: number][] = [
    ["a write to read-only memory", PROT_READ, FAULT_WRITE],
    ["a read of memory without access", PROT_NONE, 0],
    ["a write to memory without access", PROT_NONE, FAULT_WRITE],
    ["a write to code", PROT_READ | PROT_EXEC, FAULT_WRITE],
  ];
  for (const [what, protection, flags] of cases) {
    test(`is refused: ${what}`, async () => {
      const { machine, mm, page } = await createPages(1, { protection });
      assert.equal(handleFault(mm, page, flags), FAULT_SIGSEGV);
      assert.equal(word(mm, page), 0);
      assert.equal(await faultIn(mm, page, flags), FAULT_SIGSEGV);
      checkInvariants(machine);
    });
  }

  test("is refused: anything outside of a mapping", async () => {
    const { mm, page } = await createPages(1);
    assert.equal(handleFault(mm, page - 1, 0), FAULT_SIGSEGV);
    assert.equal(handleFault(mm, page + 1, FAULT_WRITE), FAULT_SIGSEGV);
  });

  test("is refused: a special mapping has nothing behind it", async () => {
    for (const flags of [VM_IO, VM_PFNMAP, VM_SHARED]) {
      const { mm, page } = await createPages(1, { flags });
      assert.equal(handleFault(mm, page, 0), FAULT_SIGBUS);
    }
  });

  test("and does not touch a page that is there", async () => {
    const { mm, page } = await createPages(1);
    await store(mm, page, 1);
    await mprotect(mm, page * PAGE, PAGE, PROT_NONE);
    const before = word(mm, page);
    assert.equal(before & PTE_NO_ACCESS, PTE_NO_ACCESS);
    assert.equal(handleFault(mm, page, 0), FAULT_SIGSEGV);
    assert.equal(word(mm, page), before);
  });

  test("is allowed: a read of memory that is mapped for writing alone, as on x86", async () => {
    const { mm, page } = await createPages(1, { protection: PROT_WRITE });
    assert.equal(handleFault(mm, page, 0), FAULT_DONE);
  });
});

describe("a fault on a page that migrates", () => {
  async function createMigration() {
    const environment = new SeededEnvironment(7);
    const { machine } = createMachine({ environment });
    const mm = machine.createAddressSpace();
    const page = await mapPages(mm, 1);
    await store(mm, page, 5);
    await mm.mmapLock.read();
    const args = migration(mm, page, 1, { flags: MIGRATE_VMA_SELECT_SYSTEM });
    migrateVmaSetup(args);
    assert.equal(isMigrationEntry(word(mm, page)), true);
    const finish = () => {
      migrateVmaFinalize(args);
      mm.mmapLock.readUnlock();
    };
    return { environment, machine, mm, page, args, finish };
  }

  test("names the frame whose lock it would wait for", async () => {
    const { mm, page, finish } = await createMigration();
    const result = handleFault(mm, page, FAULT_WRITE);
    assert.equal(faultCode(result), FAULT_WAIT);
    assert.equal(faultFrame(result), frameAt(mm, page));
    finish();
  });

  test("waits until the migration is over, without the mmap lock", async () => {
    const { environment, machine, mm, page, args, finish } = await createMigration();
    let done = false;
    const access = load(mm, page).then((byte) => {
      done = true;
      return byte;
    });
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(machine.pageLocks.waiting, 1);
    assert.equal(machine.counters.waits, 1);
    mm.mmapLock.readUnlock();
    assert.equal(mm.mmapLock.free, true, "the one that waits holds no mmap lock");
    assert.equal(mm.mmapLock.tryRead(), true);
    checkInvariants(machine, { inFlight: [args], busy: true });
    assert.equal(done, false);
    finish();
    assert.equal(await environment.settle(access), 5);
    checkInvariants(machine);
  });

  for (const flags of [0, FAULT_WRITE]) {
    test(`for ${flags === 0 ? "a read" : "a write"} leaves an entry that allows the access after the wait as it came`, async () => {
      const { environment, machine, mm, page, args } = await createMigration();
      mm.pageTable.exchange(page, word(mm, page) & ~(PTE_YOUNG | PTE_MAKE_DIRTY));
      const fault = faultIn(mm, page, flags);
      await new Promise((resolve) => setImmediate(resolve));
      migrateVmaFinalize(args);
      mm.mmapLock.readUnlock();
      assert.equal(await environment.settle(fault), FAULT_DONE);
      assert.equal(word(mm, page) & BITS, PTE_PRESENT | PTE_WRITE | PTE_EXCLUSIVE);
      checkInvariants(machine);
    });
  }

  test("for a write of a page that comes back read-only goes on to make it writable", async () => {
    const { environment, machine, mm, page, args } = await createMigration();
    mm.pageTable.exchange(page, word(mm, page) & ~PTE_WRITE);
    const fault = faultIn(mm, page, FAULT_WRITE);
    await new Promise((resolve) => setImmediate(resolve));
    migrateVmaFinalize(args);
    mm.mmapLock.readUnlock();
    assert.equal(await environment.settle(fault), FAULT_DONE);
    assert.notEqual(word(mm, page) & PTE_WRITE, 0);
    checkInvariants(machine);
  });

  test("starts again from the mapping, which may be gone after the wait", async () => {
    const { environment, machine, mm, page, finish } = await createMigration();
    const access = load(mm, page);
    const gone = munmap(mm, page * PAGE, PAGE);
    await new Promise((resolve) => setImmediate(resolve));
    finish();
    await environment.settle(gone);
    await assert.rejects(environment.settle(access), memoryError("EFAULT", /page/));
    checkInvariants(machine);
  });
});

describe("a fault on a page that is private to a device", () => {
  async function createDevicePage(pages = 1) {
    const { machine, environment, mm, page } = await createPages(pages);
    const device = new TestDevice(machine, "private", 4);
    for (let i = 0; i < pages; i++) await store(mm, page + i, i + 5);
    await device.migrateToDevice(mm, page, pages);
    assert.equal(isDevicePrivateEntry(word(mm, page)), true);
    return { machine, environment, mm, page, device };
  }

  test("names the device's frame", async () => {
    const { mm, page } = await createDevicePage();
    const result = handleFault(mm, page, 0);
    assert.equal(faultCode(result), FAULT_DEVICE);
    assert.equal(faultFrame(result), frameAt(mm, page));
  });

  test("brings that page home, and no other, and the access goes on", async () => {
    const { machine, mm, page, device } = await createDevicePage(2);
    assert.equal(await load(mm, page), 5);
    assert.equal(device.faults, 1);
    assert.equal(machine.counters.deviceFaults, 1);
    assert.equal(isDevicePrivateEntry(word(mm, page + 1)), true);
    assert.equal(device.freed.length, 1);
    checkInvariants(machine);
    await store(mm, page + 1, 9);
    assert.equal(await load(mm, page + 1), 9);
    checkInvariants(machine);
  });

  test("fails with the driver's error, and leaves the page where it was", async () => {
    const { machine, mm, page, device } = await createDevicePage();
    device.pause = () => Promise.reject(new Error("the link is down"));
    const inFlight = device.inFlight;
    await assert.rejects(load(mm, page), /the link is down/);
    assert.equal(inFlight.size, 1, "this driver does not clean up; a real one finalizes first");
    assert.equal(mm.mmapLock.free, true);
    for (const args of inFlight) migrateVmaFinalize(args as ReturnType<typeof migration>);
    inFlight.clear();
    device.pause = null;
    assert.equal(await load(mm, page), 5);
    checkInvariants(machine);
  });

  test("is tried again when the page could not move, until it can", async () => {
    const { machine, mm, page, device } = await createDevicePage();
    const frame = frameAt(mm, page);
    machine.frames.tryLock(frame);
    const access = load(mm, page);
    while (device.faults < 3) await new Promise((resolve) => setImmediate(resolve));
    checkInvariants(machine, { locked: [frame], references: [], busy: true });
    machine.pageLocks.unlock(frame);
    assert.equal(await access, 5);
    checkInvariants(machine);
  });

  test("is one migration when many fault at once, and each of them goes on", async () => {
    for (let seed = 1; seed <= 20; seed++) {
      const environment = new SeededEnvironment(seed);
      const { machine } = createMachine({ environment });
      const device = new TestDevice(machine, "private", 4);
      const mm = machine.createAddressSpace();
      const page = await mapPages(mm, 1);
      await store(mm, page, 5);
      await device.migrateToDevice(mm, page);
      device.pause = () => environment.sleep(1);
      const accesses = Promise.all(Array.from({ length: 12 }, () => load(mm, page)));
      const bytes = await environment.settle(accesses);
      assert.deepEqual(
        bytes,
        Array.from({ length: 12 }, () => 5),
      );
      assert.equal(device.faults, 1, `seed ${seed}`);
      checkInvariants(machine);
    }
  });

  test("of a process that exits meanwhile ends with the process", async () => {
    for (let seed = 1; seed <= 20; seed++) {
      const environment = new SeededEnvironment(seed);
      const { machine } = createMachine({ environment });
      const device = new TestDevice(machine, "private", 4);
      const mm = machine.createAddressSpace();
      const page = await mapPages(mm, 1);
      await store(mm, page, 5);
      await device.migrateToDevice(mm, page);
      device.pause = () => environment.sleep(1);
      const access = load(mm, page).catch((error: unknown) => error);
      const exit = exitAddressSpace(mm);
      const [outcome] = await environment.settle(Promise.all([access, exit]));
      if (outcome !== 5) memoryError("EFAULT", /page/)(outcome);
      machine.lru.drain();
      assert.equal(machine.host.charge.usage, 0, `seed ${seed}`);
      assert.equal(device.freeFrames, 4);
      checkInvariants(machine);
    }
  });
});
