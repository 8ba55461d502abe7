/**
 * What the pager does with a page while two threads pin it: each with the words that a page is filled with, where they may
 * be, and what must be so when all have ended.
 */

import assert from "node:assert/strict";
import { loadWord } from "../../../../src/access/cpu.js";
import type { UserMachine, UserPin } from "../../../../src/access/user-mode/user-machine.js";
import { UserPorts } from "../../../../src/access/user-mode/user-ports.js";
import { snapshotRange } from "../../../../src/mm/copy/snapshot.js";
import { dropFileCopy, ownFilePage } from "../../../../src/mm/file/file-copy.js";
import { PG_DIRTY, PG_FILE_COPY } from "../../../../src/mm/frames/frames.js";
import type { HomeRange } from "../../../../src/mm/host/home-range.js";
import { mmap, munmap } from "../../../../src/mm/space/mapping.js";
import { clearSoftDirty, clearSoftDirtyRange, markSoftDirty } from "../../../../src/mm/space/soft-dirty.js";
import { createPageCache } from "../../../../src/mm/stores.js";
import { letGo, pageOut } from "../../../../src/mm/swap/pageout.js";
import {
  PTE_DIRTY,
  PTE_EXCLUSIVE,
  PTE_FRAME_SHIFT,
  PTE_NO_ACCESS,
  PTE_PRESENT,
  PTE_SOFT_DIRTY,
  PTE_WRITE,
  PTE_YOUNG,
} from "../../../../src/mm/table/entry.js";
import {
  createMachine,
  frameAt,
  load,
  mapPages,
  PAGE,
  reading,
  store,
  TestSwapStore,
  word,
} from "../../../builders.js";
import { TestDevice } from "../../../test-device.js";
import type { SharedSpace } from "../threads.js";
import type { Scenario, Stage } from "./explorer.js";
import type { Program, ReplayedThread } from "./replayed-thread.js";

/** Where the page is mapped. */
const AT = 512;
const NEIGHBOUR = 600;
/** What the page is filled with, and what a thread stores. */
const BYTE = 1;
const BEFORE = 0x01010101;
const STORED = 0x07070707;

const MARKS = PTE_YOUNG | PTE_DIRTY | PTE_SOFT_DIRTY;

function contentsOf(user: UserMachine, pin: UserPin): Int32Array {
  const { buffer, byteOffset } = user.bytes(pin.first, 1);
  return new Int32Array(buffer, byteOffset, 1);
}

/** Nobody leaves to the pager what it could have pinned. */
function miss(thread: ReplayedThread, write: boolean): void {
  const needed = PTE_PRESENT | PTE_EXCLUSIVE | (write ? PTE_WRITE : 0);
  assert.notEqual(thread.lastLook & (needed | PTE_NO_ACCESS), needed, `${thread.name} gave up for nothing`);
  thread.outcome = "missed";
}

const writer: Program = (user, thread) => {
  const pin = user.tryPin(AT, 1, true);
  if (pin === null) return miss(thread, true);
  thread.held = pin.first;
  Atomics.store(contentsOf(user, pin), 0, STORED);
  thread.held = -1;
  user.unpin(pin, true);
  thread.outcome = "stored";
};

const reader: Program = (user, thread) => {
  const pin = user.tryPin(AT, 1, false);
  if (pin === null) return miss(thread, false);
  thread.held = pin.first;
  const seen = Atomics.load(contentsOf(user, pin), 0);
  assert.ok(seen === BEFORE || seen === STORED, `${thread.name} reads ${seen.toString(16)} through its pin`);
  thread.held = -1;
  user.unpin(pin, false);
  thread.outcome = "read";
};

/** What the pager does to the page of a stage, and what else there is. */
interface Act {
  readonly space: SharedSpace;
  readonly device: TestDevice;
  readonly swap: TestSwapStore;
}

interface Kept {
  /** How it went, in a word. */
  readonly outcome: string;
  /** Were marks taken away? */
  readonly cleared?: boolean;
  /** To be checked when the threads have ended as well. */
  check?(): void | Promise<void>;
}

async function unmapAll({ mm, machine }: SharedSpace): Promise<void> {
  for (const { start, end } of mm.vmas.slice())
    if (start !== NEIGHBOUR) await munmap(mm, start * PAGE, (end - start) * PAGE);
  machine.lru.drain();
}

interface HomeStage extends Stage {
  /** A home for the page, the same in every run. */
  home(): HomeRange;
}

/** Every stage has a device and swap; an anonymous page at home, clean, is mapped anew for each run. */
async function open(act: (act: Act) => Promise<Kept>, keepsPage = true): Promise<HomeStage> {
  const swap = new TestSwapStore();
  const { machine, environment } = createMachine({ shared: true, swap });
  const device = new TestDevice(machine, "private", 2);
  const mm = machine.createAddressSpace();
  let home = machine.host.reserveHome(1);
  // It keeps the page table where it is.
  await load(mm, await mapPages(mm, 1, { at: NEIGHBOUR }));
  const space: SharedSpace = { machine, environment, mm, ports: new UserPorts(mm), page: AT };
  let kept: Kept = { outcome: "" };
  return {
    space,
    home() {
      machine.host.releaseHome(home);
      return (home = machine.host.reserveHome(1));
    },
    async reset(this: HomeStage) {
      await unmapAll(space);
      device.memory.fill(0);
      await mmap(mm, { address: AT * PAGE, length: PAGE, home: this.home() });
      await store(mm, AT, BYTE);
      machine.lru.drain();
      // Clean, so that every mark is a change.
      mm.pageTable.exchange(AT, word(mm, AT) & ~MARKS);
      machine.frames.setFlags(frameAt(mm, AT), PG_DIRTY);
    },
    async act() {
      kept = await act({ space, device, swap });
      return kept.outcome;
    },
    isContents: (buffer) => machine.zones.list.some(({ bytes }) => bytes?.buffer === buffer),
    contents: () => [
      firstWord(space, AT),
      device.bytesOf(device.zone.first)[0],
      ...[...swap.pages.values()].map((bytes) => bytes[0]),
    ],
    async check(threads) {
      await kept.check?.();
      if (!keepsPage) return;
      const stored = threads.some((thread) => thread.outcome === "stored");
      if (stored && kept.cleared !== true) {
        assert.ok((word(mm, AT) & PTE_SOFT_DIRTY) !== 0, "a page that was written is not soft-dirty");
      }
      assert.equal(await loadWord(mm, AT * PAGE), stored ? STORED : BEFORE, "what the processor reads in the end");
    },
  };
}

/** The first word of a page in host memory, 0 of one that is elsewhere. */
function firstWord({ machine, mm }: SharedSpace, page: number): number {
  const entry = mm.pageTable.chunkOf(mm.pageTable.leaf(page))[
    mm.pageTable.baseOf(mm.pageTable.leaf(page)) + (page & 511)
  ];
  if ((entry & PTE_PRESENT) === 0) return 0;
  const bytes = machine.zones.bytes(entry >>> PTE_FRAME_SHIFT);
  return new Int32Array(bytes.buffer, bytes.byteOffset, 1)[0];
}

const migrated: Scenario = {
  name: "the page migrates to a device",
  programs: [writer, reader],
  open: () =>
    open(async ({ space: { mm }, device }) => {
      const [moved] = await device.migrateToDevice(mm, AT);
      return { outcome: moved ? "moved" : "refused" };
    }),
};

const returned: Scenario = {
  name: "the page migrates to a device and back",
  programs: [writer],
  open: () =>
    open(async ({ space: { mm }, device }) => {
      const [there] = await device.migrateToDevice(mm, AT);
      const [back] = await device.migrateToHost(mm, AT);
      assert.equal(back, there, "nobody holds a page that is private to a device");
      return { outcome: there ? "moved" : "refused" };
    }),
};

const unmapped: Scenario = {
  name: "the page is unmapped",
  programs: [writer, reader],
  unmaps: true,
  open: () =>
    open(async ({ space: { mm, machine } }) => {
      const frame = frameAt(mm, AT);
      await munmap(mm, AT * PAGE, PAGE);
      const left = machine.frames.refcount(frame) > 0;
      return {
        outcome: left ? "still held" : "freed",
        check: () => assert.equal(machine.frames.refcount(frame), 0, "references to a page that is gone"),
      };
    }, false),
};

/** After `clear`: a change of the page that is there must be marked, at once and in the end. */
function cleared(
  name: string,
  programs: readonly Program[],
  looksAtSlots: boolean,
  clear: (space: SharedSpace) => Promise<void>,
): Scenario {
  return {
    name,
    programs,
    looksAtSlots,
    open: () =>
      open(async ({ space }) => {
        await clear(space);
        const then = firstWord(space, AT);
        const isMarked = (): boolean => (word(space.mm, AT) & PTE_SOFT_DIRTY) !== 0;
        isMarked();
        const now = firstWord(space, AT);
        const marked = isMarked();
        assert.ok(now === then || marked, "a store after the clear is not marked");
        return {
          outcome: marked ? "marked" : "clear",
          cleared: true,
          check: () =>
            assert.ok(firstWord(space, AT) === then || isMarked(), "a store after the clear is never marked"),
        };
      }),
  };
}

const clearedAll = cleared("all soft-dirty marks are cleared", [writer, reader], false, ({ mm }) => clearSoftDirty(mm));

const clearedRange = cleared(
  "the soft-dirty mark is cleared, and made again for who has the page pinned for writing",
  [writer],
  true,
  async ({ mm, ports }) => {
    await clearSoftDirtyRange(mm, AT, AT + 1);
    for (const port of ports) {
      for (const run of port.runs()) if (run.write) markSoftDirty(mm, run.page, run.page + run.pages);
    }
  },
);

const snapshot: Scenario = {
  name: "a snapshot is taken",
  programs: [writer, reader],
  open: () =>
    open(async ({ space }) => {
      const { mm, machine } = space;
      const copied = machine.counters.copiedPinned;
      const page = (await snapshotRange(mm, AT * PAGE, PAGE)) / PAGE;
      const then = firstWord(space, page);
      return {
        outcome: machine.counters.copiedPinned > copied ? "copied" : "shared",
        check: async () => {
          assert.equal(await loadWord(mm, page * PAGE), then, "the snapshot shows what was stored later");
        },
      };
    }),
};

const pagedOut: Scenario = {
  name: "the page goes to swap",
  programs: [writer],
  open: () =>
    open(async ({ space: { mm } }) => {
      await pageOut(mm, AT * PAGE, PAGE);
      return { outcome: (word(mm, AT) & PTE_PRESENT) === 0 ? "in swap" : "kept" };
    }),
};

const forgotten: Scenario = {
  name: "a copy of a file's page is forgotten",
  programs: [reader, reader],
  async open() {
    const stage = await open(async ({ space: { mm, machine } }) => {
      const { frames, lru } = machine;
      const frame = frameAt(mm, AT);
      assert.ok(lru.isolate(frame) && frames.tryLock(frame));
      frames.get(frame);
      const dropped = dropFileCopy(machine, frame);
      letGo(machine, frame, dropped);
      return { outcome: dropped ? "forgotten" : "kept" };
    });
    const { mm, machine } = stage.space;
    const read = async (_: number, into: Uint8Array): Promise<void> => void into.fill(BYTE);
    return {
      ...stage,
      async reset() {
        await unmapAll(stage.space);
        const file = createPageCache(machine, 1, { read });
        await mmap(mm, { address: AT * PAGE, length: PAGE, file, home: stage.home() });
        // Another mapping of the file has the cached page, so that this one's is a copy, at home.
        await loadWord(mm, (await mapPages(mm, 1, { at: NEIGHBOUR + 1, file, shared: true })) * PAGE);
        machine.lru.drain();
        const vma = mm.vmaAt(AT);
        assert.ok(vma !== undefined && (await reading(mm, () => ownFilePage(vma, AT))));
        machine.lru.drain();
        assert.ok((machine.frames.flags(frameAt(mm, AT)) & PG_FILE_COPY) !== 0);
        mm.pageTable.exchange(AT, word(mm, AT) & ~PTE_YOUNG);
      },
    };
  },
};

export const scenarios = { migrated, returned, unmapped, clearedAll, clearedRange, snapshot, pagedOut, forgotten };
