// The invariant checker sees each thing that it claims to see: every test breaks one thing by hand.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createPageCache, swapOn } from "../../src/mm/stores.js";
import type { AddressSpace } from "../../src/mm/space/address-space.js";
import {
  devicePrivateEntry,
  isSwapEntry,
  PTE_DIRTY,
  PTE_EXCLUSIVE,
  PTE_FRAME_SHIFT,
  PTE_MIGRATION,
  PTE_NO_ACCESS,
  PTE_PRESENT,
  PTE_WRITE,
  PTE_YOUNG,
  swapEntry,
} from "../../src/mm/table/entry.js";
import {
  FLAGS,
  FRAME_SHIFT,
  INDEX,
  LRU_NEXT,
  LRU_PREV,
  MAPCOUNT,
  MAPPING,
  PG_DIRTY,
  PG_HAS_COPY,
  PG_HOME,
  PG_LOCKED,
  PG_LRU,
  PG_RETAINED,
  PG_SWAPCACHE,
  PG_WAITERS,
  PG_ZEROS,
  PRIVATE,
  REFCOUNT,
} from "../../src/mm/frames/frames.js";
import { DMA_PIN, tryPinPage } from "../../src/mm/fault/gup.js";
import { Machine } from "../../src/mm/machine.js";
import { mprotect } from "../../src/mm/space/mapping.js";
import { pageOut } from "../../src/mm/swap/pageout.js";
import { MemorySwapStore } from "../../src/mm/swap/swap-store.js";
import { ADDRESS_SPACE_PAGES } from "../../src/mm/table/page-table.js";
import { type AnonVma, PROT_READ, Vma } from "../../src/mm/space/vma.js";
import { MIGRATE_VMA_SELECT_SYSTEM } from "../../src/migrate/entry.js";
import { migrateVmaFinalize } from "../../src/migrate/finalize.js";
import { migrateVmaPages } from "../../src/migrate/pages.js";
import { migrateVmaSetup } from "../../src/migrate/setup.js";
import { createMachine, frameAt, load, mapPages, migration, PAGE, SHARED, store, word } from "../builders.js";
import { brokenInvariants, checkInvariants, type Holders } from "../invariants.js";
import { TestDevice } from "../test-device.js";

interface Scene {
  readonly machine: Machine;
  readonly mm: AddressSpace;
  readonly device: TestDevice;
  /** Pages by what they are. Eight pages with homes: */
  readonly onLru: number;
  readonly inBatch: number;
  readonly zero: number;
  readonly hole: number;
  readonly onDevice: number;
  readonly readOnly: number;
  /** Frames. */
  readonly lruFrame: number;
  readonly deviceFrame: number;
  readonly retainedFrame: number;
  readonly freeHome: number;
  readonly holders: Holders;
}

/** A machine with a page of each kind, and nothing wrong with it. */
async function createScene(): Promise<Scene> {
  const { machine } = createMachine({ hostPages: 100 });
  const device = new TestDevice(machine, "private", 4);
  const mm = machine.createAddressSpace();
  const start = await mapPages(mm, 8, { home: true });
  const [onLru, inBatch, zero, hole, onDevice, readOnly] = [
    start,
    start + 1,
    start + 2,
    start + 3,
    start + 4,
    start + 7,
  ];
  await store(mm, onLru, 1);
  await store(mm, onDevice, 2);
  await store(mm, readOnly, 3);
  await device.migrateToDevice(mm, onDevice);
  await load(mm, zero);
  await store(mm, inBatch, 4);
  await mprotect(mm, readOnly * PAGE, PAGE, PROT_READ);
  return {
    machine,
    mm,
    device,
    onLru,
    inBatch,
    zero,
    hole,
    onDevice,
    readOnly,
    lruFrame: frameAt(mm, onLru),
    deviceFrame: frameAt(mm, onDevice),
    retainedFrame: machine.host.retained.list.head,
    freeHome: frameAt(mm, onLru) + (hole - onLru),
    holders: { deviceBytes: (frame) => (device.holds(frame) ? device.bytesOf(frame) : null) },
  };
}

function poke(machine: Machine, frame: number, field: number, value: number): void {
  machine.frames.words[(frame << FRAME_SHIFT) + field] = value;
}

function present(frame: number, bits: number): number {
  return (frame << PTE_FRAME_SHIFT) | PTE_PRESENT | bits;
}

type Break = readonly [what: string, act: (scene: Scene) => Holders | void, seen: RegExp];

const breaks: Record<string, Break[]> = {
  "address spaces and VMAs": [
    ["two VMAs overlap", ({ mm, readOnly }) => void (mm.vmas[1].start = readOnly - 1), /overlaps the one before/],
    ["a VMA is empty", ({ mm }) => void mm.vmas.push(new Vma(mm, 5000, 5000, 3, 5000, null)), /is empty/],
    [
      "a VMA belongs to another address space",
      ({ mm, machine }) => void mm.vmas.push(new Vma(machine.createAddressSpace(), 5000, 5001, 3, 5000, null)),
      /belongs to another address space/,
    ],
    [
      "a VMA exceeds the address space",
      ({ mm }) => void mm.vmas.push(new Vma(mm, ADDRESS_SPACE_PAGES - 1, ADDRESS_SPACE_PAGES + 1, 3, 0, null)),
      /exceeds the address space/,
    ],
    ["a VMA exceeds its home range", ({ mm }) => void ((mm.vmas.at(-1) as Vma).end += 1), /exceeds its home range/],
    ["the resident count is off", ({ mm }) => void mm.resident.usage++, /is charged 5 resident pages and has 4/],
    [
      "there are more resident pages than allowed",
      ({ mm }) => {
        mm.resident.usage = 0;
        mm.resident.limit = 3;
      },
      /more resident pages than its limit/,
    ],
    ["a page table is lost", ({ machine }) => void machine.tables.allocate(), /4 page tables are in use and 3 belong/],
    [
      "a page table is in two places",
      ({ machine, mm }) => {
        const [leaf, middle] = [...mm.pageTable.tables()];
        machine.tables.write(middle?.table ?? 0, 400, ((leaf?.table ?? 0) << 9) | 0x100);
      },
      /page table \d+ belongs to two places/,
    ],
  ],
  anon_vmas: [
    [
      "a VMA has an anon_vma that its chain lacks",
      ({ machine, mm }) => void (mm.vmas[0].anonVma = machine.createAnonVma()),
      /not in its chain/,
    ],
    ["a VMA has a chain and no anon_vma", ({ mm }) => void (mm.vmas[0].anonVma = null), /a chain and no anon_vma/],
    ["an anon_vma does not list a VMA", ({ mm }) => void mm.vmas[0]?.anonVma?.vmas.splice(0), /is 0 times in anon_vma/],
    [
      "an anon_vma lists a VMA twice",
      ({ mm }) => void mm.vmas[0]?.anonVma?.vmas.push(mm.vmas[0]),
      /is 2 times in anon_vma/,
    ],
    [
      "an anon_vma lists a VMA that is gone",
      ({ mm }) => void mm.vmas[0]?.anonVma?.vmas.push(new Vma(mm, 5000, 5001, 3, 5000, null)),
      /lists a VMA that is gone/,
    ],
    [
      "an anon_vma lists a VMA that is not linked to it",
      ({ mm }) => {
        const other = new Vma(mm, 5000, 5001, 3, 5000, null);
        mm.vmas.push(other);
        mm.vmas[0]?.anonVma?.vmas.push(other);
      },
      /does not have it in its chain/,
    ],
    [
      "an anon_vma in use was forgotten",
      ({ machine, mm }) => machine.forgetAnonVma(mm.vmas[0]?.anonVma as AnonVma),
      /the machine does not know it/,
    ],
    [
      "an unused anon_vma was not forgotten",
      ({ machine }) => void machine.createAnonVma(),
      /knows 2 anon_vmas and 1 are in use/,
    ],
  ],
  entries: [
    [
      "an entry stands outside of any mapping",
      ({ mm, onLru, lruFrame }) => void mm.pageTable.exchange(onLru + 8, present(lruFrame, 0)),
      /outside of any mapping/,
    ],
    [
      "an entry forbids what the VMA allows",
      ({ mm, onLru }) => void mm.pageTable.exchange(onLru, word(mm, onLru) | PTE_NO_ACCESS),
      /disagrees with the VMA about access/,
    ],
    [
      "an entry is writable in a read-only VMA",
      ({ mm, readOnly }) => void mm.pageTable.exchange(readOnly, word(mm, readOnly) | PTE_WRITE),
      /writable in a VMA that is not/,
    ],
    [
      "an entry is writable and not exclusive",
      ({ mm, onLru }) => void mm.pageTable.exchange(onLru, word(mm, onLru) & ~PTE_EXCLUSIVE),
      /writable and not exclusive/,
    ],
    [
      "an entry of the zero page is writable",
      ({ mm, zero }) => void mm.pageTable.exchange(zero, present(0, PTE_WRITE | PTE_EXCLUSIVE)),
      /zero page writable/,
    ],
    [
      "an entry names a frame beyond the last",
      ({ mm, machine, hole }) => void mm.pageTable.exchange(hole, present(machine.frames.count, 0)),
      /a frame that does not exist/,
    ],
    [
      "an entry names a frame beyond the device's memory",
      ({ mm, device, hole }) => void mm.pageTable.exchange(hole, devicePrivateEntry(device.zone.first + 4, 0)),
      /a frame that does not exist/,
    ],
    [
      "a migration entry stands for a page that is not locked",
      ({ mm, onLru, lruFrame }) => void mm.pageTable.exchange(onLru, (lruFrame << PTE_FRAME_SHIFT) | PTE_MIGRATION),
      /migration entry of a page that is not locked/,
    ],
    [
      "a migration entry was left behind",
      ({ mm, machine, onLru, lruFrame }) => {
        machine.frames.tryLock(lruFrame);
        mm.pageTable.exchange(onLru, (lruFrame << PTE_FRAME_SHIFT) | PTE_MIGRATION);
      },
      /no migration is under way/,
    ],
    [
      "a device-private entry names host memory",
      ({ mm, onLru, lruFrame }) => void mm.pageTable.exchange(onLru, devicePrivateEntry(lruFrame, 0)),
      /device-private and its frame is not/,
    ],
    [
      "a present entry names private device memory",
      ({ mm, onDevice, deviceFrame }) => void mm.pageTable.exchange(onDevice, present(deviceFrame, 0)),
      /private to a device/,
    ],
    [
      "a marker of lost contents names a frame",
      ({ machine, mm, hole, lruFrame }) => {
        machine.hasLostPages = true;
        mm.pageTable.exchange(hole, (lruFrame << PTE_FRAME_SHIFT) | PTE_DIRTY | PTE_YOUNG);
      },
      /is a marker with more than its bits/,
    ],
    [
      "a marker of lost contents stands where nothing was ever lost",
      ({ mm, hole }) => void mm.pageTable.exchange(hole, PTE_DIRTY | PTE_YOUNG),
      /has never lost a page/,
    ],
    [
      "a page that the CPU can write is marked as zeros",
      ({ machine, lruFrame }) => machine.frames.setFlags(lruFrame, PG_ZEROS),
      /which the CPU can write, has a mark of zeros/,
    ],
    [
      "a device page that is marked as zeros holds something else",
      ({ machine, deviceFrame }) => machine.frames.setFlags(deviceFrame, PG_ZEROS),
      /is marked as zeros and holds something else/,
    ],
    [
      "an entry names a free frame",
      ({ mm, hole, freeHome }) => void mm.pageTable.exchange(hole, present(freeHome, 0)),
      /names a free frame/,
    ],
    [
      "a frame does not know its index",
      ({ machine, lruFrame, hole }) => poke(machine, lruFrame, INDEX, hole),
      /not found by the reverse map/,
    ],
    [
      "a frame does not know its anon_vma",
      ({ machine, lruFrame }) => poke(machine, lruFrame, MAPPING, 0),
      /not found by the reverse map/,
    ],
    [
      "a page is in the home of another",
      ({ mm, machine, onLru, hole, lruFrame }) => {
        mm.pageTable.exchange(hole, word(mm, onLru));
        mm.pageTable.exchange(onLru, 0);
        poke(machine, lruFrame, INDEX, hole);
      },
      /the home of page \d+, is that of page \d+/,
    ],
    [
      "a page is mapped once more than it knows",
      ({ machine, lruFrame }) => poke(machine, lruFrame, MAPCOUNT, 0),
      /has map count 0 and is mapped 1 times/,
    ],
    [
      "a page is mapped once less than it knows",
      ({ mm, onLru }) => void mm.pageTable.exchange(onLru, 0),
      /has map count 1 and is mapped 0 times/,
    ],
  ],
  "the LRU": [
    [
      "a listed page lacks the flag",
      ({ machine, lruFrame }) => machine.frames.clearFlags(lruFrame, PG_LRU),
      /on the LRU list without the flag/,
    ],
    [
      "a page has the flag and is not listed",
      ({ machine, lruFrame }) => machine.lru.list.remove(lruFrame),
      /has the LRU flag and is not on the list/,
    ],
    [
      "a page is neither listed nor in the batch",
      ({ machine, lruFrame }) => void machine.lru.isolate(lruFrame),
      /neither on the LRU nor part of a migration/,
    ],
    [
      "a page is listed and in the batch",
      ({ machine, lruFrame }) => machine.lru.add(lruFrame),
      /in the LRU batch and elsewhere/,
    ],
    [
      "a page in the batch has the flag",
      ({ machine, mm, inBatch }) => machine.frames.setFlags(frameAt(mm, inBatch), PG_LRU),
      /with the flag of the list/,
    ],
    [
      "a device page is listed",
      ({ machine, deviceFrame }) => {
        machine.frames.setFlags(deviceFrame, PG_LRU);
        machine.lru.list.pushFront(deviceFrame);
      },
      /of a device is on the LRU/,
    ],
    ["a link back is wrong", ({ machine }) => poke(machine, machine.lru.list.tail, LRU_PREV, 9), /does not lead back/],
    [
      "a link forward is wrong",
      ({ machine, lruFrame }) => poke(machine, lruFrame, LRU_NEXT, lruFrame),
      /runs in a circle/,
    ],
    ["the tail is wrong", ({ machine }) => void (machine.lru.list.tail = 0), /not at its tail 0/],
    ["the length is wrong", ({ machine }) => void machine.lru.list.length++, /counts 3 frames and has 2/],
  ],
  "retained frames": [
    [
      "a listed frame lacks the flag",
      ({ machine, retainedFrame }) => machine.frames.clearFlags(retainedFrame, PG_RETAINED),
      /listed as retained without the flag/,
    ],
    [
      "a retained frame is no home frame",
      ({ machine, retainedFrame }) => machine.frames.clearFlags(retainedFrame, PG_HOME),
      /is not a home frame/,
    ],
    [
      "a retained frame has a reference",
      ({ machine, retainedFrame }) => machine.frames.get(retainedFrame),
      /retained frame \d+ has references/,
    ],
    [
      "a retained frame keeps the bytes of another page",
      ({ machine, deviceFrame, hole }) => poke(machine, deviceFrame, INDEX, hole),
      /the home of page \d+, is that of page \d+/,
    ],
    [
      "a retained frame names no device page",
      ({ machine, retainedFrame, lruFrame }) => poke(machine, retainedFrame, PRIVATE, lruFrame),
      /which is no device page/,
    ],
    [
      "a device page does not name its copy",
      ({ machine, deviceFrame }) => poke(machine, deviceFrame, PRIVATE, 0),
      /does not name it in turn/,
    ],
    [
      "a device page does not know that it has a copy",
      ({ machine, deviceFrame }) => machine.frames.clearFlags(deviceFrame, PG_HAS_COPY),
      /does not name it in turn/,
    ],
    [
      "the copy is stale",
      ({ device, deviceFrame }) => void device.bytesOf(deviceFrame).fill(9),
      /does not hold the bytes/,
    ],
    [
      "a frame has the flag and is not listed",
      ({ machine, freeHome }) => machine.frames.setFlags(freeHome, PG_RETAINED),
      /has the flag of retained frames and is not listed/,
    ],
    [
      "a device page claims a copy that there is not",
      ({ machine, deviceFrame, freeHome }) => poke(machine, deviceFrame, PRIVATE, freeHome),
      /claims a retained copy that is not listed/,
    ],
  ],
  frames: [
    [
      "a reference leaked",
      ({ machine, lruFrame }) => machine.frames.get(lruFrame),
      /has 2 references and 1 known holders/,
    ],
    [
      "a reference is missing",
      ({ machine, lruFrame }) => poke(machine, lruFrame, REFCOUNT, 0),
      /has 0 references and 1 known holders/,
    ],
    [
      "a frame is in use by nobody",
      ({ machine }) => void machine.host.allocate(0, false),
      /has 1 references and 0 known holders/,
    ],
    ["a page stayed locked", ({ machine, lruFrame }) => void machine.frames.tryLock(lruFrame), /is locked by nobody/],
    [
      "somebody waits for nothing",
      ({ machine, lruFrame }) => machine.frames.setFlags(lruFrame, PG_WAITERS),
      /waits for frame \d+, which is not locked/,
    ],
    [
      "a free frame has an identity",
      ({ machine, freeHome }) => poke(machine, freeHome, MAPPING, 5),
      /free frame \d+ has an identity/,
    ],
    [
      "a free frame is dirty",
      ({ machine, freeHome }) => machine.frames.setFlags(freeHome, PG_DIRTY),
      /free frame \d+ has flags 4/,
    ],
    [
      "a migrating page is not locked",
      ({ lruFrame }) => ({
        inFlight: [{ src: new Int32Array([(lruFrame << 6) | 3]), dst: new Int32Array(1), npages: 1 }],
      }),
      /migrates without being locked/,
    ],
    [
      "the host's charge is off",
      ({ machine }) => void machine.host.charge.usage--,
      /is charged 3 pages; 3 are used and 1 retained/,
    ],
    [
      "the host's charge exceeds the budget",
      ({ machine }) => void (machine.host.charge.usage = 101),
      /is charged 101 of at most 100 pages/,
    ],
  ],
  "the zero page": [
    [
      "it has flags",
      ({ machine }) => poke(machine, 0, FLAGS, PG_LOCKED),
      /the zero page has an identity, a map count or flags/,
    ],
    [
      "it has a map count",
      ({ machine }) => poke(machine, 0, MAPCOUNT, 1),
      /the zero page has an identity, a map count or flags/,
    ],
    ["it is on a list", ({ machine, lruFrame }) => poke(machine, 0, LRU_NEXT, lruFrame), /the zero page is on a list/],
    ["it was written", ({ machine }) => void machine.zones.bytes(0).fill(128, PAGE - 1), /the zero page is not zero/],
    ["it lost its reference", ({ machine }) => poke(machine, 0, REFCOUNT, 0), /frame 0 has 0 references and 1 known/],
  ],
  rest: [
    ["a mmap lock is held", ({ mm }) => void mm.mmapLock.tryRead(), /the mmap lock of address space 1 is held/],
    [
      "somebody waits for a page lock",
      ({ machine, lruFrame }) => {
        machine.frames.tryLock(lruFrame);
        void machine.pageLocks.wait(lruFrame);
        return { locked: [lruFrame] };
      },
      /1 wait for page locks/,
    ],
  ],
};

describe("the invariant checker", () => {
  test("finds nothing wrong with a machine that has a page of each kind", async () => {
    const { machine, holders } = await createScene();
    checkInvariants(machine, holders);
  });

  test("finds nothing wrong in the middle of a migration, when it is told of it", async () => {
    const { machine, mm, device, onLru, holders } = await createScene();
    await mm.mmapLock.read();
    const args = migration(mm, onLru, 4, { flags: MIGRATE_VMA_SELECT_SYSTEM, owner: device.owner });
    const busy = { ...holders, inFlight: [args], busy: true };
    migrateVmaSetup(args);
    assert.equal(args.cpages, 4);
    checkInvariants(machine, busy);
    device.offer(args);
    device.copy(args);
    checkInvariants(machine, busy);
    migrateVmaPages(args);
    checkInvariants(machine, busy);
    assert.notDeepEqual(brokenInvariants(machine, holders), []);
    migrateVmaFinalize(args);
    mm.mmapLock.readUnlock();
    checkInvariants(machine, holders);
  });

  test("fails with all that is broken", async () => {
    const { machine, lruFrame, holders } = await createScene();
    machine.frames.get(lruFrame);
    machine.host.charge.usage++;
    assert.throws(() => checkInvariants(machine, holders), /references[^]*is charged/);
  });
});

/** A machine with a page in swap, one in the swap cache, and one of an object in memory. */
async function createSwapScene() {
  const { environment } = createMachine();
  const machine = new Machine({ pageSize: PAGE, environment, shared: SHARED });
  swapOn(machine, new MemorySwapStore(8));
  const mm = machine.createAddressSpace();
  const page = await mapPages(mm, 2);
  await store(mm, page, 1);
  await store(mm, page + 1, 2);
  await pageOut(mm, page * PAGE, 2 * PAGE);
  assert.equal(isSwapEntry(word(mm, page)), true);
  assert.equal(await load(mm, page + 1), 2);
  const cache = createPageCache(machine, 2);
  const cachedFrame = cache.addZeros(0);
  const { swap } = machine;
  assert.ok(swap !== null);
  return { machine, mm, cache, cachedFrame, swap, slot: frameAt(mm, page), swapCached: frameAt(mm, page + 1) };
}

type SwapScene = Awaited<ReturnType<typeof createSwapScene>>;

describe("the invariant checker, of swap and page caches,", () => {
  test("finds nothing wrong with a machine that has a page of each kind", async () => {
    checkInvariants((await createSwapScene()).machine);
  });

  const swapBreaks: [what: string, act: (scene: SwapScene) => void, seen: RegExp][] = [
    ["a slot counts too many entries", ({ swap, slot }) => swap.duplicate(slot), /counts 2 entries and has 1/],
    ["a slot is taken for nothing", ({ swap }) => void swap.allocate(), /3 swap slots are in use and 2 are named/],
    [
      "a page of the swap cache does not know it",
      ({ machine, swapCached }) => machine.frames.clearFlags(swapCached, PG_SWAPCACHE),
      /which does not name it in turn/,
    ],
    [
      "a page of the swap cache names another slot",
      ({ machine, swapCached, slot }) => poke(machine, swapCached, PRIVATE, slot),
      /which does not name it in turn/,
    ],
    [
      "a cached page does not know its place",
      ({ machine, cachedFrame }) => poke(machine, cachedFrame, INDEX, 1),
      /is cached as page 0 of an object and is not that page/,
    ],
    [
      "a page of an object is in memory and in swap",
      ({ cache, slot }) => void (cache.slots as Map<number, number>).set(0, slot),
      /page 0 of an object is cached and paged out/,
    ],
    [
      "an object lists a VMA of something else",
      ({ cache, mm }) => void cache.vmas.push(mm.vmas[0]),
      /lists a VMA that maps another/,
    ],
  ];
  for (const [what, act, seen] of swapBreaks) {
    test(`notices that ${what}`, async () => {
      const scene = await createSwapScene();
      act(scene);
      const broken = brokenInvariants(scene.machine);
      assert.ok(
        broken.some((sentence) => seen.test(sentence)),
        `expected ${String(seen)} among ${JSON.stringify(broken)}`,
      );
    });
  }
});

for (const [part, cases] of Object.entries(breaks)) {
  describe(`the invariant checker notices, of ${part}, that`, () => {
    for (const [what, act, seen] of cases) {
      test(what, async () => {
        const scene = await createScene();
        const handed = act(scene);
        const broken = brokenInvariants(scene.machine, { ...scene.holders, ...handed });
        assert.ok(
          broken.some((sentence) => seen.test(sentence)),
          `expected ${String(seen)} among ${JSON.stringify(broken)}`,
        );
      });
    }
  });
}

describe("the invariant checker, of pages with one user,", () => {
  test("sees an exclusive page that has a second one", async () => {
    const { machine, lruFrame } = await createScene();
    const other = machine.createAddressSpace();
    const page = await mapPages(other, 1);
    await load(other, page);
    other.pageTable.exchange(page, (lruFrame << PTE_FRAME_SHIFT) | PTE_PRESENT);
    assert.match(brokenInvariants(machine).join("\n"), /is marked exclusive and has 2 users/);
  });

  test("sees an exclusive mark on a swap slot that two name", async () => {
    const { machine, mm, slot, swap } = await createSwapScene();
    const page = await mapPages(mm, 1);
    await load(mm, page);
    swap.duplicate(slot);
    mm.pageTable.exchange(page, swapEntry(slot, 0));
    assert.deepEqual(brokenInvariants(machine), [`swap slot ${slot} is marked exclusive and has 2 users`]);
  });

  test("sees a page that is pinned for DMA and shared copy-on-write", async () => {
    const { machine, mm, onLru, lruFrame, holders } = await createScene();
    const frame = tryPinPage(mm, onLru, true, DMA_PIN);
    assert.equal(frame, lruFrame);
    const pinned = { ...holders, references: [[frame, DMA_PIN] as const] };
    checkInvariants(machine, pinned);
    mm.pageTable.exchange(onLru, word(mm, onLru) & ~(PTE_WRITE | PTE_EXCLUSIVE));
    assert.deepEqual(brokenInvariants(machine, pinned), [`frame ${frame} is pinned for DMA and shared copy-on-write`]);
  });

  test("knows of pages taken off the LRU and of references that may be held only what it is told", async () => {
    const { machine, lruFrame, holders } = await createScene();
    machine.lru.drain();
    assert.ok(machine.lru.isolate(lruFrame));
    machine.frames.get(lruFrame);
    assert.equal(brokenInvariants(machine, holders).length, 2);
    checkInvariants(machine, { ...holders, isolated: [lruFrame] });
    machine.frames.get(lruFrame);
    const unsure = new Map([[lruFrame, 1]]);
    checkInvariants(machine, { ...holders, isolated: [lruFrame], unsure });
    machine.frames.get(lruFrame);
    assert.equal(brokenInvariants(machine, { ...holders, isolated: [lruFrame], unsure }).length, 1);
  });
});
