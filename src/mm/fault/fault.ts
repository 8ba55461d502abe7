/**
 * Page faults of the CPU. `handleFault` decides synchronously; what it cannot do at once (wait for a locked page, bring a
 * page home from a device) it names in its result, and `faultIn` does that and starts again from the VMA lookup.
 *
 * Invariant: an entry is changed only after the notifiers heard of it, and only if it still is what was decided about.
 *
 * Counterpart: `mm/memory.c` (`handle_mm_fault`, `do_anonymous_page`, `do_wp_page`, `do_swap_page`).
 */

import type { AddressSpace } from "../space/address-space.js";
import { prepareAnonVma } from "../space/anon-vma.js";
import {
  isDeviceExclusiveEntry,
  isDevicePrivateEntry,
  isMigrationEntry,
  isPoisonMarker,
  isSwapEntry,
  isZeroPageEntry,
  PTE_EXCLUSIVE,
  PTE_FRAME_SHIFT,
  PTE_MAKE_DIRTY,
  PTE_NO_ACCESS,
  PTE_PRESENT,
  PTE_TRACKING,
  PTE_WRITE,
  PTE_YOUNG,
} from "../table/entry.js";
import { assert } from "../errors.js";
import { PG_DIRTY, PG_FILE_COPY, PG_LOCKED, PG_LRU, PG_SWAPCACHE } from "../frames/frames.js";
import { restoreExclusiveEntry } from "./exclusive-entry.js";
import { homeFrameOf } from "../host/home-range.js";
import { assertNotInCallback } from "../space/notifier.js";
import { TABLE_MASK } from "../table/page-table.js";
import { addNewAnonRmap, moveAnonRmap, removeRmap } from "../frames/rmap.js";
import { setBitsOfWord } from "../shared-word.js";
import { keepHome } from "../copy/sharers.js";
import { userfaultOf } from "./userfault.js";
import { isAccessible, makeEntry, maybeWritable, VM_SHARED, VM_UFFD_FLAGS, VM_WRITE, type Vma } from "../space/vma.js";

/** The access is a store. */
export const FAULT_WRITE = 1;
/** The page is to be pinned for reading: one that is shared is copied first (`FAULT_FLAG_UNSHARE`). */
export const FAULT_UNSHARE = 2;
/** The same, and a page without contents gets memory: who pins it for reading is to see what is written later. */
export const FAULT_OWN = 4;

export const FAULT_DONE = 0;
/** Nothing is mapped, or the mapping forbids the access. */
export const FAULT_SIGSEGV = 1;
/** A special mapping without memory behind it. */
export const FAULT_SIGBUS = 2;
export const FAULT_OOM = 3;
/** Wait for the lock of the page in `faultFrame`, then try again. */
export const FAULT_WAIT = 4;
/** The page in `faultFrame` is private to a device: bring it home, then try again. */
export const FAULT_DEVICE = 5;
/** The page is in swap, in the slot that stands in the place of the frame: read it, then try again. */
export const FAULT_SWAP = 6;
/** The page is to be read into the cache of the object that is mapped: do that, then try again. */
export const FAULT_READ = 7;

/** The program handles faults here itself: let it, then try again. */
export const FAULT_USERFAULT = 8;
/** The page's contents are lost. */
export const FAULT_HWPOISON = 9;

const RESULT_BITS = 4;
const RESULT_MASK = (1 << RESULT_BITS) - 1;

/** A code with the frame, or the slot, that it speaks of. */
export function faultResult(code: number, frame: number): number {
  return code | (frame << RESULT_BITS);
}

export function faultCode(result: number): number {
  return result & RESULT_MASK;
}

/** The frame that FAULT_WAIT and FAULT_DEVICE speak of, or the slot of FAULT_SWAP. */
export function faultFrame(result: number): number {
  return result >>> RESULT_BITS;
}

/** One attempt at the access, under the mmap lock. The VMA allows it, or the answer is FAULT_SIGSEGV. */
export function handleFault(mm: AddressSpace, page: number, flags: number): number {
  const vma = mm.vmaAt(page);
  if (vma === undefined) return FAULT_SIGSEGV;
  if ((flags & FAULT_WRITE) !== 0 ? (vma.flags & VM_WRITE) === 0 : !isAccessible(vma)) return FAULT_SIGSEGV;
  return handleVmaFault(vma, page, flags);
}

/** The same once the VMA is known and has been asked (`handle_mm_fault`). */
export function handleVmaFault(vma: Vma, page: number, flags: number): number {
  assertNotInCallback();
  const { mm } = vma;
  if (vma.file === null && !vma.anonymous) return FAULT_SIGBUS;
  if ((vma.flags & VM_UFFD_FLAGS) !== 0) {
    const kind = userfaultOf(vma, mm.pageTable.read(page), (flags & FAULT_WRITE) !== 0);
    if (kind !== null) return FAULT_USERFAULT;
  }
  if (mm.pageTable.leaf(page) === 0) {
    if (
      mm.machine.hugePages.faultBlock(
        vma,
        page,
        (flags & FAULT_WRITE) !== 0,
        (flags & (FAULT_UNSHARE | FAULT_OWN)) !== 0,
      )
    )
      return FAULT_DONE;
    if (mm.pageTable.ensureLeaf(page) === 0) return FAULT_OOM;
  }
  const word = mm.pageTable.read(page);
  const { paging } = mm.machine;
  if (word === 0) return vma.file === null ? faultHole(vma, page, flags) : paging.faultFile(vma, vma.file, page, flags);
  if ((word & PTE_PRESENT) !== 0) return faultPresent(vma, page, word, flags);
  const frame = word >>> PTE_FRAME_SHIFT;
  if (isMigrationEntry(word)) return faultResult(FAULT_WAIT, frame);
  if (isDeviceExclusiveEntry(word)) return faultExclusive(vma, page, word);
  if (isSwapEntry(word)) return paging.faultSwapped(vma, page, word, flags);
  if (isPoisonMarker(word)) return FAULT_HWPOISON;
  // A text of its own for each page would be made for every fault on a device's page.
  assert(isDevicePrivateEntry(word), "a page has an entry of no known kind");
  return faultResult(FAULT_DEVICE, frame);
}

/** The CPU takes a page back that a device has for itself. The access may have to fault once more. */
function faultExclusive(vma: Vma, page: number, word: number): number {
  const { mm } = vma;
  const frame = word >>> PTE_FRAME_SHIFT;
  if ((mm.machine.frames.flags(frame) & PG_LOCKED) !== 0) return faultResult(FAULT_WAIT, frame);
  mm.machine.counters.faults++;
  mm.notifiers.notify("exclusive", page, page + 1, null);
  restoreExclusiveEntry(vma, page, word);
  return FAULT_DONE;
}

function faultHole(vma: Vma, page: number, flags: number): number {
  const { mm } = vma;
  const { machine } = mm;
  if ((flags & (FAULT_WRITE | FAULT_OWN)) === 0) {
    machine.counters.faults++;
    mm.pageTable.exchange(page, makeEntry(vma, 0));
    return FAULT_DONE;
  }
  const frame = allocateAnonymous(vma, page, true);
  if (frame === 0) return FAULT_OOM;
  mapNewPage(vma, page, frame, (flags & FAULT_WRITE) === 0 ? makeEntry(vma, frame) : writtenEntry(vma, frame));
  return FAULT_DONE;
}

/** The page is there, and its entry does not say that the access is allowed. */
export function faultPresent(vma: Vma, page: number, word: number, flags: number): number {
  const { mm } = vma;
  const wanted = flags & (FAULT_WRITE | FAULT_UNSHARE | FAULT_OWN);
  if (wanted === 0 || (word & PTE_WRITE) !== 0) {
    // Nothing is missing. Unlike the processor, a fault that marks an entry dirty marks it soft-dirty as well.
    const marks = (wanted & FAULT_WRITE) === 0 ? PTE_YOUNG : PTE_YOUNG | PTE_MAKE_DIRTY;
    setBitsOfWord(mm.pageTable.chunkOf(mm.pageTable.leaf(page)), entryIndex(mm, page), marks);
    return FAULT_DONE;
  }
  if (isZeroPageEntry(word))
    return (flags & (FAULT_WRITE | FAULT_OWN)) === 0 ? FAULT_DONE : copyOnWrite(vma, page, word, flags);
  const frame = word >>> PTE_FRAME_SHIFT;
  if (!mm.machine.frames.isAnonymous(frame)) return faultMappedFile(vma, page, word, flags);
  if ((word & PTE_EXCLUSIVE) === 0 && !isReusable(vma, frame) && !keepHome(vma, page, frame))
    return copyOnWrite(vma, page, word, flags);
  reuse(vma, page, word, flags);
  return FAULT_DONE;
}

/** The entry of a shared page that a store is about to change. */
export function writeShared(vma: Vma, frame: number, entry: number): number {
  vma.mm.machine.frames.setFlags(frame, PG_DIRTY);
  return maybeWritable(vma, entry | PTE_MAKE_DIRTY);
}

/** A page of an object that is mapped read-only: shared it becomes writable, privately it is copied. */
function faultMappedFile(vma: Vma, page: number, word: number, flags: number): number {
  if ((flags & FAULT_WRITE) === 0) return FAULT_DONE;
  if ((vma.flags & VM_SHARED) === 0) return copyOnWrite(vma, page, word, flags);
  vma.mm.machine.counters.faults++;
  vma.mm.pageTable.exchange(page, writeShared(vma, word >>> PTE_FRAME_SHIFT, word | PTE_YOUNG));
  return FAULT_DONE;
}

/** Is this mapping the only user of the page? References of the LRU batch and the swap cache do not count. */
function isReusable(vma: Vma, frame: number): boolean {
  const { machine } = vma.mm;
  const { frames, lru } = machine;
  const cached = (frames.flags(frame) & PG_SWAPCACHE) !== 0;
  if (frames.refcount(frame) > 3) return false;
  if ((frames.flags(frame) & PG_LRU) === 0) lru.drain();
  if (frames.refcount(frame) > (cached ? 2 : 1) || !frames.tryLock(frame)) return false;
  if (cached) machine.swap?.tryRemove(frame);
  machine.pageLocks.unlock(frames.head(frame));
  return frames.refcount(frame) === 1;
}

/** The page becomes this mapping's own; no device needs to hear of it. */
function reuse(vma: Vma, page: number, word: number, flags: number): void {
  const { mm } = vma;
  mm.machine.counters.faults++;
  if ((word & PTE_EXCLUSIVE) === 0) moveAnonRmap(mm.machine, word >>> PTE_FRAME_SHIFT, vma);
  if ((flags & FAULT_WRITE) !== 0) mm.machine.frames.clearFlags(word >>> PTE_FRAME_SHIFT, PG_FILE_COPY);
  const owned = word | PTE_EXCLUSIVE | PTE_YOUNG;
  const entry = (flags & FAULT_WRITE) === 0 ? owned : maybeWritable(vma, owned | PTE_MAKE_DIRTY);
  // Added to the entry, which the release of a pin may be marking at the same time.
  setBitsOfWord(mm.pageTable.chunkOf(mm.pageTable.leaf(page)), entryIndex(mm, page), entry & ~word);
}

function copyOnWrite(vma: Vma, page: number, word: number, flags: number): number {
  const { mm } = vma;
  const { machine } = mm;
  const source = word >>> PTE_FRAME_SHIFT;
  const frame = allocateAnonymous(vma, page, source === 0);
  if (frame === 0) return FAULT_OOM;
  if (source !== 0) {
    machine.zones.copy(frame, source);
    if (machine.frames.isAnonymous(source)) mm.resident.uncharge(1);
    machine.counters.copiedOnWrite++;
  }
  mm.notifiers.notify("clear", page, page + 1, null);
  const unshared = makeEntry(vma, frame) | (word & PTE_TRACKING);
  mapNewPage(vma, page, frame, (flags & FAULT_WRITE) === 0 ? unshared : writtenEntry(vma, frame));
  if (source !== 0) {
    removeRmap(machine, source);
    if ((machine.frames.flags(source) & PG_SWAPCACHE) !== 0) machine.swap?.releaseUnmapped(source);
    machine.put(source);
  }
  return FAULT_DONE;
}

/** A frame for a new page of the VMA, charged to its address space; 0 when any of that fails. */
export function allocateAnonymous(vma: Vma, page: number, zero: boolean): number {
  const { mm } = vma;
  const { machine } = mm;
  if (!prepareAnonVma(vma)) return 0;
  const frame = machine.host.allocate(homeFrameOf(vma.home, page), zero);
  if (frame === 0) return 0;
  if (!mm.tryCharge()) {
    machine.put(frame);
    return 0;
  }
  return frame;
}

/** The entry of a new page that a store is about to fill. */
export function writtenEntry(vma: Vma, frame: number): number {
  const entry = makeEntry(vma, frame);
  return (vma.flags & VM_WRITE) === 0 ? entry : entry | PTE_WRITE | PTE_MAKE_DIRTY;
}

/** Maps a new page, which is this mapping's own. */
export function mapNewPage(vma: Vma, page: number, frame: number, entry: number): void {
  const { machine, pageTable } = vma.mm;
  machine.counters.faults++;
  addNewAnonRmap(machine, frame, vma, page);
  pageTable.exchange(page, entry | PTE_EXCLUSIVE);
  machine.lru.add(frame);
}

function entryIndex(mm: AddressSpace, page: number): number {
  return mm.pageTable.baseOf(mm.pageTable.leaf(page)) + (page & TABLE_MASK);
}

/** Pages that an access needs at once: one of a file or of swap, and the copy that a write makes of it. */
const MOST_PAGES = 2;
/** How often a fault makes room that others take before it gets there. */
const MOST_ATTEMPTS = 16;

/**
 * Makes the access possible, waiting where it must, and reclaiming host memory when the budget is used up. Resolves with
 * FAULT_DONE, FAULT_SIGSEGV, FAULT_SIGBUS, FAULT_OOM or FAULT_HWPOISON; rejects with the error of the driver, the swap store or the file
 * when the page cannot be brought, or no other can be written out for it. A wait drops the mmap lock.
 */
export async function faultIn(mm: AddressSpace, page: number, flags: number): Promise<number> {
  const { paging } = mm.machine;
  let starved = false;
  let attempts = 0;
  for (let again = false; ; again = true) {
    await mm.mmapLock.read();
    let result: number;
    try {
      // After a wait it is the access that is tried again, not the fault: an entry that allows it now stays as it is.
      if (again && allowsAccess(mm.pageTable.read(page), flags)) return FAULT_DONE;
      result = handleFault(mm, page, flags);
      if (faultCode(result) === FAULT_DEVICE && paging.isNeeded && !starved) result = FAULT_OOM;
      if (faultCode(result) === FAULT_DEVICE) {
        await migrateToRam(mm, page, faultFrame(result));
        continue;
      }
      if (faultCode(result) === FAULT_SWAP) {
        if (await swapIn(mm, page, faultFrame(result))) continue;
        result = FAULT_OOM;
      }
      if (faultCode(result) === FAULT_READ) {
        if (await readFile(mm, page)) continue;
        result = FAULT_OOM;
      }
    } finally {
      mm.mmapLock.readUnlock();
    }
    if (faultCode(result) === FAULT_OOM && paging.isNeeded && !starved) {
      // A page that is only to come home is refused by its driver then, which says why.
      attempts++;
      starved = attempts > MOST_ATTEMPTS || !(await paging.makeRoom(Math.min(attempts, MOST_PAGES)));
      continue;
    }
    if (faultCode(result) === FAULT_USERFAULT) {
      await letProgramHandle(mm, page, flags);
      continue;
    }
    if (faultCode(result) !== FAULT_WAIT) return result;
    mm.machine.counters.waits++;
    await mm.machine.pageLocks.wait(faultFrame(result));
  }
}

/** The mmap lock is not held: the program may map, fill and protect what it likes. */
async function letProgramHandle(mm: AddressSpace, page: number, flags: number): Promise<void> {
  const { userfault } = mm;
  const vma = mm.vmaAt(page);
  const write = (flags & FAULT_WRITE) !== 0;
  const kind = vma === undefined ? null : userfaultOf(vma, mm.pageTable.read(page), write);
  // Somebody else may have seen to it meanwhile.
  if (userfault !== null && kind !== null) await userfault({ mm, page, write, kind });
}

/** Reads the page of a swap entry that stands at `page`; the mmap lock is held. False when there is no memory for it. */
export function swapIn(mm: AddressSpace, page: number, slot: number): Promise<boolean> {
  const vma = mm.vmaAt(page);
  assert(vma !== undefined, `page ${page} is swapped out and not mapped`);
  return mm.machine.paging.swapIn(vma, page, slot);
}

/** Reads the page of the object that is mapped at `page`; the mmap lock is held. False when there is no memory for it. */
export function readFile(mm: AddressSpace, page: number): Promise<boolean> {
  const vma = mm.vmaAt(page);
  assert(vma?.file !== null && vma !== undefined, `page ${page} is to be read from an object and maps none`);
  return vma.file.read(vma.indexOf(page));
}

function allowsAccess(word: number, flags: number): boolean {
  if (flags === 0) return (word & (PTE_PRESENT | PTE_NO_ACCESS)) === PTE_PRESENT;
  const needed = PTE_PRESENT | PTE_WRITE;
  return flags === FAULT_WRITE && (word & (needed | PTE_NO_ACCESS)) === needed;
}

/**
 * Asks the driver for a page that the CPU cannot reach. The reference and the driver's setup are one synchronous
 * section, so that two faults on the same page do not refuse each other for ever. When the page did not move and nobody
 * who can be waited for holds it, the turn is given away before the access is tried again.
 */
export async function migrateToRam(mm: AddressSpace, page: number, frame: number): Promise<void> {
  const { machine } = mm;
  const { pageMap } = machine.zones.of(frame);
  const vma = mm.vmaAt(page);
  assert(pageMap !== null && vma !== undefined, `page ${page} is private to a device that has no page map`);
  machine.counters.deviceFaults++;
  machine.frames.get(frame);
  try {
    await pageMap.ops.migrateToRam({ mm, vma, page, frame });
  } finally {
    machine.put(frame);
  }
  const word = mm.pageTable.read(page);
  if (isDevicePrivateEntry(word) && word >>> PTE_FRAME_SHIFT === frame) {
    await machine.environment.sleep(0);
  }
}
