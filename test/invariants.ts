/**
 * The one invariant checker: walks a whole machine, counts everything a second time, and says what does not agree.
 *
 * - Each page is in exactly one place: every entry names a frame in use, the frame's map count is the number of such
 *   entries, the reverse map leads from the frame to each of them, and all references are accounted for.
 * - A page with the anonymous-exclusive mark has one mapping, and a page that is pinned for DMA has that mark.
 * - A compound page is an aligned block with one head, mapped as a whole by the huge entries that it counts, and by parts.
 * - Migration entries stand for locked pages of migrations under way, and for nothing else.
 * - Swap slots count the entries that name them, a slot that is named or holds a cached page is not free, page caches and
 *   their pages name each other.
 * - A marker of lost contents names no frame, and a device page that is said to be zero is zero.
 * - The LRU list, the batch, the retained frames, the VMAs and the anon_vmas agree with the flags and with each other.
 * - The charges equal an independent sum. Free frames have no identity. The zero page is zero.
 *
 * What a test holds itself (pins, migrations under way) it hands in; nothing else is tolerated.
 */

import assert from "node:assert/strict";
import type { AddressSpace } from "../src/mm/space/address-space.js";
import {
  isDeviceExclusiveEntry,
  isDevicePrivateEntry,
  isMigrationEntry,
  isPoisonMarker,
  isSwapEntry,
  PTE_EXCLUSIVE,
  PTE_FRAME_SHIFT,
  PTE_NO_ACCESS,
  PTE_PRESENT,
  PTE_TRACKING,
  PTE_WRITE,
  poisonMarker,
} from "../src/mm/table/entry.js";
import {
  FLAGS,
  FRAME_SHIFT,
  GUP_PIN_COUNTING_BIAS,
  INDEX,
  LRU_NEXT,
  LRU_PREV,
  MAPCOUNT,
  MAPPING,
  MAPPING_ANON,
  MAPPING_FILE,
  MAPPING_KIND_MASK,
  MAPPING_KIND_SHIFT,
  PG_FILE_COPY,
  PG_HAS_COPY,
  PG_HEAD,
  PG_HOME,
  PG_LOCKED,
  PG_LRU,
  PG_SWAPCACHE,
  PG_RETAINED,
  PG_TAIL,
  PG_TOUCHED,
  PG_WAITERS,
  PG_ZEROS,
  PRIVATE,
  REFCOUNT,
} from "../src/mm/frames/frames.js";
import type { FrameList } from "../src/mm/frames/frame-list.js";
import type { HomeRange } from "../src/mm/host/home-range.js";
import type { Machine } from "../src/mm/machine.js";
import { ADDRESS_SPACE_PAGES, TABLE_WORDS } from "../src/mm/table/page-table.js";
import { type AnonVma, isAccessible, VM_SHARED, VM_WRITE, type Vma } from "../src/mm/space/vma.js";
import { BLOCK_FRAMES, ZONE_PRIVATE, ZONE_SYSTEM } from "../src/mm/frames/zone.js";
import { MIGRATE_PFN_SHIFT, MIGRATE_PFN_VALID } from "../src/migrate/entry.js";
import { sameBytes } from "./bytes.js";

/** What the test itself holds. */
export interface Holders {
  /** References by frame: pins, and the reference of a fault that waits for a device. */
  readonly references?: Iterable<readonly [frame: number, references: number]>;
  /** Migrations between setup and finalize: a reference and the lock of each page and destination. */
  readonly inFlight?: Iterable<{ readonly src: Int32Array; readonly dst: Int32Array; readonly npages: number }>;
  /** Frames that the test has locked. */
  readonly locked?: Iterable<number>;
  /** By frame: references that the test may hold or not. */
  readonly unsure?: ReadonlyMap<number, number>;
  /** Pages that somebody has taken off the LRU, each with a reference; of those in flight only the latter count. */
  readonly isolated?: Iterable<number>;
  /** Swap slots that are being written; nothing need name them yet. */
  readonly writtenSlots?: Iterable<number>;
  /** Operations are under way: mmap locks may be held, and somebody may wait. */
  readonly busy?: boolean;
  /** The bytes of a frame of private device memory, to compare retained copies with; null where they are not known. */
  readonly deviceBytes?: (frame: number) => Uint8Array | null;
}

/** Fails with everything that is broken. */
export function checkInvariants(machine: Machine, holders: Holders = {}): void {
  assert.deepEqual(brokenInvariants(machine, holders), []);
}

/** A sentence for each thing that is broken. */
export function brokenInvariants(machine: Machine, holders: Holders = {}): string[] {
  const survey = new Survey(machine, holders);
  survey.addressSpaces();
  survey.reverseMap();
  survey.exclusiveMarks();
  survey.pageCaches();
  survey.swapCache();
  survey.lists();
  survey.retained();
  survey.frames();
  survey.hostCharge();
  survey.zeroPage();
  if (holders.busy !== true) survey.nobodyWaits();
  return survey.broken;
}

/** Counts a machine independently of its own counters. */
class Survey {
  readonly broken: string[] = [];
  readonly #machine: Machine;
  readonly #words: Int32Array;
  readonly #deviceBytes: (frame: number) => Uint8Array | null;
  /** By frame: entries that map it. */
  readonly #mappings: Int32Array;
  /** By head of a compound page: huge entries that map it. */
  readonly #hugeMappings: Int32Array;
  /** By frame, of a compound page by its head: references that the lists, the migrations and the test hold. */
  readonly #references: Int32Array;
  /** By frame: is it part of a migration under way, and so locked and off the LRU? */
  readonly #migrating: Uint8Array;
  readonly #mayBeLocked: Uint8Array;
  readonly #onLru: Uint8Array;
  readonly #unsure: ReadonlyMap<number, number>;
  /** By frame: taken off the LRU by somebody who is no migration. */
  readonly #isolated: Uint8Array;
  /** By frame: entries of any kind that name it, and those of them with the exclusive mark. */
  readonly #entriesOf: Int32Array;
  readonly #exclusiveOf: Int32Array;
  /** By frame: is it pinned for DMA? */
  readonly #pinned: Uint8Array;
  /** By slot: swap entries that name it, and those of them with the exclusive mark. */
  readonly #swapEntries = new Map<number, number>();
  readonly #exclusiveSlots = new Map<number, number>();
  readonly #writtenSlots: ReadonlySet<number>;

  constructor(machine: Machine, holders: Holders) {
    const { references = [], inFlight = [], locked = [], deviceBytes = () => null } = holders;
    const { frames } = machine;
    this.#machine = machine;
    this.#words = frames.words;
    this.#deviceBytes = deviceBytes;
    const { words, bytes } = zeroed(frames.count);
    this.#mappings = words[0];
    this.#hugeMappings = words[1];
    this.#references = words[2];
    this.#entriesOf = words[3];
    this.#exclusiveOf = words[4];
    this.#migrating = bytes[0];
    this.#mayBeLocked = bytes[1];
    this.#onLru = bytes[2];
    this.#isolated = bytes[3];
    this.#pinned = bytes[4];
    this.#unsure = holders.unsure ?? new Map();
    this.#writtenSlots = new Set(holders.writtenSlots);
    this.#references[0] = 1;
    for (const [frame, count] of references) {
      this.#hold(frame, count);
      if (count >= GUP_PIN_COUNTING_BIAS) this.#pinned[frame] = 1;
    }
    for (const frame of locked) this.#mayBeLocked[frame] = 1;
    for (const { src, dst, npages } of inFlight) {
      for (let i = 0; i < npages; i++) {
        this.#migratingFrame(src[i]);
        this.#migratingFrame(dst[i]);
      }
    }
    for (const frame of holders.isolated ?? []) {
      if (this.#migrating[frame] !== 0) continue;
      this.#isolated[frame] = 1;
      this.#hold(frame, 1);
    }
  }

  addressSpaces(): void {
    const tables = new Set<number>();
    const anonVmas = new Set<AnonVma>();
    const vmas = new Set<Vma>();
    /** By home range: the index of its first page. */
    const homes = new Map<HomeRange, number>();
    for (const mm of this.#machine.addressSpaces) {
      this.#vmasInOrder(mm);
      for (const vma of mm.vmas) {
        vmas.add(vma);
        this.#chain(vma);
        if (vma.home !== null) homes.set(vma.home, vma.offset + vma.home.page - vma.start);
        for (const anonVma of vma.chain) anonVmas.add(anonVma);
      }
      const resident = this.#entries(mm, tables);
      if (mm.resident.usage !== resident) {
        this.#report(`address space ${mm.id} is charged ${mm.resident.usage} resident pages and has ${resident}`);
      }
      if (resident > mm.resident.limit) this.#report(`address space ${mm.id} has more resident pages than its limit`);
    }
    if (tables.size !== this.#machine.tables.used) {
      this.#report(`${this.#machine.tables.used} page tables are in use and ${tables.size} belong to an address space`);
    }
    this.#anonVmas(anonVmas, vmas);
    for (const [home, index] of homes) this.#atHome(home, index);
  }

  /** A cached page belongs to its object, which refers to it; what was paged out has a slot of its own. */
  pageCaches(): void {
    for (const cache of this.#machine.pageCaches) {
      for (const [index, frame] of cache.pages) {
        const mapping = (cache.id << MAPPING_KIND_SHIFT) | MAPPING_FILE;
        const at = frame << FRAME_SHIFT;
        if (this.#words[at + MAPPING] !== mapping || this.#words[at + INDEX] !== index)
          this.#report(`frame ${frame} is cached as page ${index} of an object and is not that page`);
        // A page that is being read from swap is in both places.
        if (cache.slots.has(index) && (this.#flags(frame) & PG_LOCKED) === 0)
          this.#report(`page ${index} of an object is cached and paged out`);
        if (index < 0 || index >= cache.length) this.#report(`page ${index} is cached of an object of ${cache.length}`);
        this.#hold(frame, 1);
      }
      for (const slot of cache.slots.values()) count(this.#swapEntries, slot);
      for (const vma of cache.vmas) if (vma.file !== cache) this.#report("an object lists a VMA that maps another");
    }
  }

  /** Slots count the entries that name them; a page of the swap cache and its slot name each other. */
  swapCache(): void {
    const { swap, frames } = this.#machine;
    if (swap === null) return;
    let used = 0;
    for (let slot = 1; slot <= swap.highest; slot++) {
      const entries = this.#swapEntries.get(slot) ?? 0;
      const frame = swap.cached(slot);
      if (entries > 0 || frame !== 0 || this.#writtenSlots.has(slot)) used++;
      if (swap.count(slot) !== entries)
        this.#report(`swap slot ${slot} counts ${swap.count(slot)} entries and has ${entries}`);
      if (frame === 0) continue;
      this.#hold(frame, 1);
      if ((this.#flags(frame) & PG_SWAPCACHE) === 0 || frames.private(frame) !== slot)
        this.#report(`swap slot ${slot} names frame ${frame}, which does not name it in turn`);
    }
    if (used !== swap.used) this.#report(`${swap.used} swap slots are in use and ${used} are named`);
  }

  /** Each mapping was found by its entry; the map count says whether the frame knows of as many. */
  reverseMap(): void {
    for (let frame = 0; frame < this.#mappings.length; frame++) {
      const mapcount = this.#words[(frame << FRAME_SHIFT) + MAPCOUNT];
      if (mapcount !== this.#mappings[frame]) {
        this.#report(`frame ${frame} has map count ${mapcount} and is mapped ${this.#mappings[frame]} times`);
      }
      if ((this.#flags(frame) & PG_HEAD) !== 0) this.#compound(frame);
      else if (this.#hugeMappings[frame] !== 0) this.#report(`a huge entry maps frame ${frame}, which is no head`);
    }
  }

  /** Who has a page to itself is its only user; who pinned one for DMA relies on that. */
  exclusiveMarks(): void {
    for (let frame = 1; frame < this.#entriesOf.length; frame++) {
      if (this.#exclusiveOf[frame] === 0 && this.#pinned[frame] === 0) continue;
      // The parts of a compound page are pinned and marked together.
      if (this.#machine.frames.isCompound(frame)) continue;
      const cached = (this.#flags(frame) & PG_SWAPCACHE) !== 0;
      const slot = cached ? this.#machine.frames.private(frame) : 0;
      const users = this.#entriesOf[frame] + (this.#swapEntries.get(slot) ?? 0);
      const exclusive = this.#exclusiveOf[frame] + (this.#exclusiveSlots.get(slot) ?? 0);
      if (exclusive > 0 && users > 1) this.#report(`frame ${frame} is marked exclusive and has ${users} users`);
      if (this.#pinned[frame] === 0 || !this.#machine.frames.isAnonymous(frame)) continue;
      if (users > 0 && exclusive === 0) this.#report(`frame ${frame} is pinned for DMA and shared copy-on-write`);
    }
    for (const [slot, exclusive] of this.#exclusiveSlots) {
      const users = this.#swapEntries.get(slot) ?? 0;
      if (exclusive > 0 && users > 1) this.#report(`swap slot ${slot} is marked exclusive and has ${users} users`);
    }
  }

  /** A compound page: its frames, and the count of the huge entries that map it. */
  #compound(head: number): void {
    const what = `the compound page in frame ${head}`;
    if (head % BLOCK_FRAMES !== 0) this.#report(`${what} is not aligned`);
    if (this.#kind(head) !== ZONE_SYSTEM) this.#report(`${what} is on a device`);
    for (let part = head + 1; part < head + BLOCK_FRAMES; part++) {
      const flags = this.#flags(part) & ~(PG_HOME | PG_TOUCHED);
      if (flags !== PG_TAIL) this.#report(`${what} has a part ${part} with flags ${flags}`);
      if (Atomics.load(this.#words, (part << FRAME_SHIFT) + REFCOUNT) !== 0)
        this.#report(`part ${part} of ${what} has references of its own`);
      if (this.#words[(part << FRAME_SHIFT) + INDEX] !== this.#words[(head << FRAME_SHIFT) + INDEX] + part - head)
        this.#report(`part ${part} of ${what} is another page than the head says`);
    }
    const counted = this.#machine.frames.compoundMapcount(head);
    if (counted !== this.#hugeMappings[head])
      this.#report(`${what} counts ${counted} huge entries and has ${this.#hugeMappings[head]}`);
  }

  lists(): void {
    const { lru } = this.#machine;
    for (const frame of this.#linked(lru.list, "the LRU list")) {
      this.#onLru[frame] = 1;
      if ((this.#flags(frame) & PG_LRU) === 0) this.#report(`frame ${frame} is on the LRU list without the flag`);
    }
    for (const frame of lru.batched) {
      if (this.#onLru[frame] !== 0) this.#report(`frame ${frame} is in the LRU batch and elsewhere on the LRU`);
      if ((this.#flags(frame) & PG_LRU) !== 0)
        this.#report(`frame ${frame} is in the LRU batch with the flag of the list`);
      this.#onLru[frame] = 2;
      this.#hold(frame, 1);
    }
    for (let frame = 0; frame < this.#onLru.length; frame++) {
      if (this.#isBlank(frame)) continue;
      if ((this.#flags(frame) & PG_LRU) !== 0 && this.#onLru[frame] !== 1)
        this.#report(`frame ${frame} has the LRU flag and is not on the list`);
      const system = this.#kind(frame) === ZONE_SYSTEM;
      if (this.#onLru[frame] !== 0 && !system) this.#report(`frame ${frame} of a device is on the LRU`);
      if (
        system &&
        frame !== 0 &&
        this.#mappings[frame] > 0 &&
        this.#onLru[this.#machine.frames.head(frame)] === 0 &&
        this.#migrating[frame] === 0 &&
        this.#isolated[frame] === 0
      ) {
        this.#report(`frame ${frame} is mapped and neither on the LRU nor part of a migration`);
      }
    }
  }

  retained(): void {
    const { retained } = this.#machine.host;
    const listed = new Set<number>();
    for (const frame of this.#linked(retained.list, "the list of retained frames")) {
      listed.add(frame);
      const device = this.#words[(frame << FRAME_SHIFT) + PRIVATE];
      const flags = this.#flags(frame);
      if ((flags & PG_RETAINED) === 0) this.#report(`frame ${frame} is listed as retained without the flag`);
      if ((flags & PG_HOME) === 0) this.#report(`retained frame ${frame} is not a home frame`);
      if (this.#refcount(frame) !== 0) this.#report(`retained frame ${frame} has references`);
      if (this.#kind(device) === ZONE_SYSTEM || this.#refcount(device) === 0)
        this.#report(`retained frame ${frame} names frame ${device}, which is no device page`);
      else if ((this.#flags(device) & PG_HAS_COPY) === 0 || this.#words[(device << FRAME_SHIFT) + PRIVATE] !== frame) {
        this.#report(`retained frame ${frame} names device frame ${device}, which does not name it in turn`);
      } else this.#copyIsTrue(frame, device);
    }
    for (let frame = 0; frame < this.#onLru.length; frame++) {
      const flags = this.#flags(frame);
      if ((flags & PG_RETAINED) !== 0 && !listed.has(frame))
        this.#report(`frame ${frame} has the flag of retained frames and is not listed`);
      if ((flags & PG_HAS_COPY) !== 0 && !listed.has(this.#words[(frame << FRAME_SHIFT) + PRIVATE])) {
        this.#report(`device frame ${frame} claims a retained copy that is not listed`);
      }
    }
  }

  frames(): void {
    for (let frame = 0; frame < this.#mappings.length; frame++) {
      if (this.#isBlank(frame) || (this.#flags(frame) & PG_TAIL) !== 0) continue;
      const refcount = this.#refcount(frame);
      const known = this.#knownHolders(frame);
      const unsure = this.#unsure.get(frame) ?? 0;
      if (refcount < known || refcount > known + unsure)
        this.#report(`frame ${frame} has ${refcount} references and ${known} known holders`);
      const flags = this.#flags(frame);
      if ((flags & PG_LOCKED) !== 0 && this.#mayBeLocked[frame] === 0)
        this.#report(`frame ${frame} is locked by nobody`);
      if ((flags & PG_LOCKED) === 0 && this.#migrating[frame] !== 0)
        this.#report(`frame ${frame} migrates without being locked`);
      if ((flags & (PG_LOCKED | PG_WAITERS)) === PG_WAITERS)
        this.#report(`somebody waits for frame ${frame}, which is not locked`);
      if (refcount === 0) this.#freeFrame(frame, flags);
      else if ((flags & PG_ZEROS) !== 0) this.#isZero(frame);
    }
  }

  /** Most frames of a machine were never used: there is nothing to say about one that nobody knows anything of. */
  #isBlank(frame: number): boolean {
    const at = frame << FRAME_SHIFT;
    const words = this.#words;
    return (
      words[at] === 0 &&
      words[at + REFCOUNT] === 0 &&
      words[at + MAPPING] === 0 &&
      words[at + INDEX] === 0 &&
      this.#mappings[frame] === 0 &&
      this.#hugeMappings[frame] === 0 &&
      this.#references[frame] === 0 &&
      this.#migrating[frame] === 0 &&
      this.#onLru[frame] === 0
    );
  }

  #knownHolders(frame: number): number {
    let known = this.#references[frame] + this.#hugeMappings[frame];
    const parts = (this.#flags(frame) & PG_HEAD) === 0 ? 1 : BLOCK_FRAMES;
    for (let part = frame; part < frame + parts; part++) known += this.#mappings[part];
    return known;
  }

  hostCharge(): void {
    const { host } = this.#machine;
    let used = 0;
    let retained = 0;
    for (let frame = 1; frame < this.#mappings.length; frame++) {
      if (this.#isBlank(frame) || this.#kind(frame) !== ZONE_SYSTEM) continue;
      if (this.#refcount(frame) !== 0) used++;
      else if ((this.#flags(frame) & PG_RETAINED) !== 0) retained++;
    }
    if (host.charge.usage !== used + retained) {
      this.#report(`host memory is charged ${host.charge.usage} pages; ${used} are used and ${retained} retained`);
    }
    if (host.charge.usage > host.charge.limit)
      this.#report(`host memory is charged ${host.charge.usage} of at most ${host.charge.limit} pages`);
  }

  zeroPage(): void {
    const words = this.#words;
    if (words[MAPCOUNT] !== 0 || words[MAPPING] !== 0 || words[FLAGS] !== 0)
      this.#report("the zero page has an identity, a map count or flags");
    if (this.#onLru[0] !== 0 || words[LRU_NEXT] !== 0 || words[LRU_PREV] !== 0)
      this.#report("the zero page is on a list");
    const bytes = this.#machine.zones.bytes(0);
    const wide = new Float64Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 8);
    // NaN and the negative zero are not zero bytes either.
    if (!wide.every((number) => Object.is(number, 0))) this.#report("the zero page is not zero");
  }

  nobodyWaits(): void {
    const { pageLocks, addressSpaces } = this.#machine;
    if (pageLocks.waiting !== 0) this.#report(`${pageLocks.waiting} wait for page locks`);
    for (const mm of addressSpaces)
      if (!mm.mmapLock.free) this.#report(`the mmap lock of address space ${mm.id} is held`);
  }

  #vmasInOrder(mm: AddressSpace): void {
    let end = 0;
    for (const vma of mm.vmas) {
      const what = `the VMA of pages ${vma.start} to ${vma.end} of address space ${mm.id}`;
      if (vma.mm !== mm) this.#report(`${what} belongs to another address space`);
      if (vma.start >= vma.end) this.#report(`${what} is empty`);
      if (vma.start < end) this.#report(`${what} is out of order or overlaps the one before`);
      if (vma.end > ADDRESS_SPACE_PAGES) this.#report(`${what} exceeds the address space`);
      const { home } = vma;
      if (home !== null && (vma.start < home.page || vma.end > home.page + home.pages))
        this.#report(`${what} exceeds its home range`);
      end = vma.end;
    }
  }

  #chain(vma: Vma): void {
    const what = `the VMA of pages ${vma.start} to ${vma.end} of address space ${vma.mm.id}`;
    if (vma.anonVma !== null && !vma.chain.includes(vma.anonVma))
      this.#report(`${what} has an anon_vma that is not in its chain`);
    if (vma.anonVma === null && vma.chain.length > 0) this.#report(`${what} has a chain and no anon_vma`);
    for (const anonVma of vma.chain) {
      const links = anonVma.vmas.filter((other) => other === vma).length;
      if (links !== 1) this.#report(`${what} is ${links} times in anon_vma ${anonVma.id} of its chain`);
    }
  }

  #anonVmas(anonVmas: Set<AnonVma>, vmas: Set<Vma>): void {
    for (const anonVma of anonVmas) {
      if (this.#machine.anonVma(anonVma.id) !== anonVma)
        this.#report(`anon_vma ${anonVma.id} is in use and the machine does not know it`);
      for (const vma of anonVma.vmas) {
        if (!vmas.has(vma)) this.#report(`anon_vma ${anonVma.id} lists a VMA that is gone`);
        else if (!vma.chain.includes(anonVma))
          this.#report(`anon_vma ${anonVma.id} lists a VMA that does not have it in its chain`);
      }
    }
    if (anonVmas.size !== this.#machine.anonVmaCount) {
      this.#report(`the machine knows ${this.#machine.anonVmaCount} anon_vmas and ${anonVmas.size} are in use`);
    }
  }

  /** A home frame holds its own page, or keeps the bytes of it, and never those of another. */
  #atHome(home: HomeRange, index: number): void {
    // Frames that are only preferred are anybody's.
    if (home.shared !== undefined) return;
    for (let i = 0; i < home.pages; i++) {
      const frame = home.first + i;
      const holder = (this.#flags(frame) & PG_RETAINED) === 0 ? frame : this.#words[(frame << FRAME_SHIFT) + PRIVATE];
      const at = holder << FRAME_SHIFT;
      if (this.#words[at + MAPPING] !== 0 && this.#words[at + INDEX] !== index + i) {
        this.#report(`frame ${frame}, the home of page ${home.page + i}, is that of page ${this.#words[at + INDEX]}`);
      }
    }
  }

  /** Looks at every entry of the address space; the number of resident pages. */
  #entries(mm: AddressSpace, seen: Set<number>): number {
    let resident = 0;
    let hugeEntries = 0;
    for (const table of mm.pageTable.spare) {
      if (seen.has(table)) this.#report(`page table ${table} belongs to two places`);
      seen.add(table);
      const base = mm.pageTable.baseOf(table);
      if (
        mm.pageTable
          .chunkOf(table)
          .subarray(base, base + TABLE_WORDS)
          .some((word) => word !== 0)
      )
        this.#report(`spare page table ${table} is not empty`);
    }
    for (const { level, first, table } of mm.pageTable.tables()) {
      if (seen.has(table)) this.#report(`page table ${table} belongs to two places`);
      seen.add(table);
      const words = mm.pageTable.chunkOf(table);
      const base = mm.pageTable.baseOf(table);
      if (level === 1) {
        for (let i = 0; i < TABLE_WORDS; i++) {
          const huge = mm.pageTable.huge(first + i * TABLE_WORDS);
          if (huge === 0) continue;
          hugeEntries++;
          if (this.#hugeEntry(mm, first + i * TABLE_WORDS, huge)) resident += BLOCK_FRAMES;
        }
      }
      if (level !== 0) continue;
      for (let i = 0; i < TABLE_WORDS; i++) {
        if (words[base + i] !== 0 && this.#entry(mm, first + i, words[base + i])) resident++;
      }
    }
    if (mm.pageTable.hugeEntries !== hugeEntries)
      this.#report(`address space ${mm.id} counts ${mm.pageTable.hugeEntries} huge entries and has ${hugeEntries}`);
    if (mm.pageTable.spare.length < hugeEntries)
      this.#report(`address space ${mm.id} keeps no table aside for each of its ${hugeEntries} huge entries`);
    return resident;
  }

  /** Looks at a huge entry; is it a resident compound page? */
  #hugeEntry(mm: AddressSpace, page: number, word: number): boolean {
    const what = `the huge entry ${(word >>> 0).toString(16)} of page ${page} of address space ${mm.id}`;
    const vma = mm.vmaAt(page);
    if (vma === undefined || vma.end < page + TABLE_WORDS) {
      this.#report(`${what} exceeds its mapping`);
      return false;
    }
    if ((word & PTE_PRESENT) === 0) this.#report(`${what} is not present`);
    if (((word & PTE_NO_ACCESS) === 0) !== isAccessible(vma))
      this.#report(`${what} disagrees with the VMA about access`);
    if ((word & PTE_WRITE) !== 0 && ((word & PTE_EXCLUSIVE) === 0 || (vma.flags & VM_WRITE) === 0))
      this.#report(`${what} is writable and not exclusive, or in a VMA that is not`);
    const head = word >>> PTE_FRAME_SHIFT;
    if (head === 0) return false;
    this.#hugeMappings[head]++;
    if (!this.#isFoundByRmap(head, vma, page)) this.#report(`${what} is not found by the reverse map of its frame`);
    return true;
  }

  /** Looks at one entry; is it a resident page? */
  #entry(mm: AddressSpace, page: number, word: number): boolean {
    const what = `the entry ${(word >>> 0).toString(16)} of page ${page} of address space ${mm.id}`;
    const frame = word >>> PTE_FRAME_SHIFT;
    const vma = mm.vmaAt(page);
    if (vma === undefined) this.#report(`${what} is outside of any mapping`);
    const present = (word & PTE_PRESENT) !== 0;
    if (present && vma !== undefined && ((word & PTE_NO_ACCESS) === 0) !== isAccessible(vma))
      this.#report(`${what} disagrees with the VMA about access`);
    if ((word & PTE_WRITE) !== 0) {
      if (vma !== undefined && (vma.flags & VM_WRITE) === 0) this.#report(`${what} is writable in a VMA that is not`);
      const shared = vma !== undefined && (vma.flags & VM_SHARED) !== 0;
      if (!shared && (word & PTE_EXCLUSIVE) === 0) this.#report(`${what} is writable and not exclusive`);
    }
    if (present && frame === 0) {
      if ((word & (PTE_WRITE | PTE_EXCLUSIVE)) !== 0) this.#report(`${what} makes the zero page writable or exclusive`);
      return false;
    }
    if (isSwapEntry(word)) {
      count(this.#swapEntries, frame);
      if ((word & PTE_EXCLUSIVE) !== 0) count(this.#exclusiveSlots, frame);
      return false;
    }
    if (isPoisonMarker(word)) {
      if (poisonMarker(word & PTE_TRACKING) !== word) this.#report(`${what} is a marker with more than its bits`);
      if (!this.#machine.hasLostPages) this.#report(`${what} is a marker and the machine has never lost a page`);
      return false;
    }
    if (frame >= this.#mappings.length || this.#isPadding(frame)) {
      this.#report(`${what} names a frame that does not exist`);
      return true;
    }
    this.#entriesOf[frame]++;
    if ((word & PTE_EXCLUSIVE) !== 0) this.#exclusiveOf[frame]++;
    if (isMigrationEntry(word)) {
      if ((this.#flags(frame) & PG_LOCKED) === 0)
        this.#report(`${what} is a migration entry of a page that is not locked`);
      if (this.#migrating[frame] === 0) this.#report(`${what} is a migration entry and no migration is under way`);
    } else if (isDevicePrivateEntry(word)) {
      if (this.#kind(frame) !== ZONE_PRIVATE) this.#report(`${what} is device-private and its frame is not`);
      this.#mappings[frame]++;
    } else if (present) {
      if (this.#kind(frame) === ZONE_PRIVATE)
        this.#report(`${what} lets the CPU reach a frame that is private to a device`);
      this.#mappings[frame]++;
    } else {
      assert(isDeviceExclusiveEntry(word));
      // No mapping, but a reference.
      this.#hold(frame, 1);
    }
    if (this.#refcount(frame) === 0) this.#report(`${what} names a free frame`);
    if ((this.#flags(frame) & PG_FILE_COPY) !== 0 && ((word & PTE_WRITE) !== 0 || vma?.file === null))
      this.#report(`${what} is of an unwritten copy of a file page, and is writable or maps no file`);
    if (vma !== undefined) {
      if (!this.#isFoundByRmap(frame, vma, page)) this.#report(`${what} is not found by the reverse map of its frame`);
    }
    return this.#machine.frames.isAnonymous(frame);
  }

  #isFoundByRmap(frame: number, vma: Vma, page: number): boolean {
    const at = frame << FRAME_SHIFT;
    const mapping = this.#words[at + MAPPING];
    const id = mapping >>> MAPPING_KIND_SHIFT;
    const anonymous = (mapping & MAPPING_KIND_MASK) === MAPPING_ANON;
    const root = anonymous ? this.#machine.anonVma(id) : this.#machine.pageCache(id);
    return root !== undefined && root.vmas.includes(vma) && vma.pageOfIndex(this.#words[at + INDEX]) === page;
  }

  /** The frames of a list, whose links, ends and length are checked on the way. */
  #linked(list: FrameList, what: string): number[] {
    const found: number[] = [];
    const seen = new Set<number>();
    let previous = 0;
    for (let frame = list.head; frame !== 0; frame = this.#words[(frame << FRAME_SHIFT) + LRU_NEXT]) {
      if (seen.has(frame)) {
        this.#report(`${what} runs in a circle at frame ${frame}`);
        return found;
      }
      seen.add(frame);
      found.push(frame);
      if (this.#words[(frame << FRAME_SHIFT) + LRU_PREV] !== previous)
        this.#report(`${what} does not lead back from frame ${frame} to ${previous}`);
      previous = frame;
    }
    if (list.tail !== previous) this.#report(`${what} ends at frame ${previous} and not at its tail ${list.tail}`);
    if (list.length !== found.length) this.#report(`${what} counts ${list.length} frames and has ${found.length}`);
    return found;
  }

  #copyIsTrue(home: number, device: number): void {
    const bytes = this.#deviceBytes(device);
    if (bytes !== null && !sameBytes(bytes, this.#machine.zones.bytes(home))) {
      this.#report(`retained frame ${home} does not hold the bytes of device frame ${device}`);
    }
  }

  #freeFrame(frame: number, flags: number): void {
    const at = frame << FRAME_SHIFT;
    if (this.#words[at + MAPPING] !== 0 || this.#words[at + INDEX] !== 0)
      this.#report(`free frame ${frame} has an identity`);
    const allowed = this.#kind(frame) === ZONE_SYSTEM ? PG_HOME | PG_RETAINED | PG_TOUCHED : 0;
    if ((flags & ~allowed) !== 0) this.#report(`free frame ${frame} has flags ${flags & ~allowed}`);
  }

  /** What is lost with its device, and nowhere else, comes back as zeros then. */
  #isZero(frame: number): void {
    if (this.#kind(frame) !== ZONE_PRIVATE)
      return this.#report(`frame ${frame}, which the CPU can write, has a mark of zeros`);
    if (this.#deviceBytes(frame)?.some((byte) => byte !== 0) === true)
      this.#report(`device frame ${frame} is marked as zeros and holds something else`);
  }

  #migratingFrame(entry: number): void {
    if ((entry & MIGRATE_PFN_VALID) === 0) return;
    const frame = entry >>> MIGRATE_PFN_SHIFT;
    this.#hold(frame, 1);
    this.#migrating[frame] = 1;
    this.#mayBeLocked[frame] = 1;
  }

  #hold(frame: number, references: number): void {
    this.#references[this.#machine.frames.head(frame)] += references;
  }

  #flags(frame: number): number {
    return this.#words[(frame << FRAME_SHIFT) + FLAGS];
  }

  #refcount(frame: number): number {
    return this.#machine.frames.refcount(frame);
  }

  #kind(frame: number): number {
    return this.#machine.zones.of(frame).kind;
  }

  /** Zones are padded to whole blocks; what is beyond their memory is no frame. */
  #isPadding(frame: number): boolean {
    const zone = this.#machine.zones.of(frame);
    return frame >= zone.first + zone.frames;
  }

  #report(what: string): void {
    if (this.broken.length < 20) this.broken.push(what);
  }
}

function count(counts: Map<number, number>, key: number): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

/** Counts by frame, used again by the next survey of as many frames: thousands are made in a run. */
let spare = { frames: -1, words: [] as Int32Array[], bytes: [] as Uint8Array[] };

function zeroed(frames: number): typeof spare {
  if (spare.frames !== frames) {
    spare = {
      frames,
      words: Array.from({ length: 5 }, () => new Int32Array(frames)),
      bytes: Array.from({ length: 5 }, () => new Uint8Array(frames)),
    };
  }
  for (const array of [...spare.words, ...spare.bytes]) array.fill(0);
  return spare;
}
