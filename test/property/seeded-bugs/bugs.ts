/**
 * Bugs of the kind that a migration protocol can have, each as one change of one compiled source: the text that must
 * occur there exactly once, what stands in its place, and what finds the bug, alone.
 */

import type { Kind } from "../engine/actions.js";
import { pagedBugs } from "./paged-bugs.js";

/**
 * Random programs over the engine, over huge pages, or over arrays and kernels; random kernels that ask for pages; the recorded
 * runs of Linux.
 */
export type Finder =
  | "random programs"
  | "huge programs"
  | "random arrays"
  | "random kernels"
  | "random kernels on a GPU"
  | "recorded runs";

export interface Bug {
  readonly name: string;
  /** Below src/, as compiled. */
  readonly file: string;
  readonly text: string;
  readonly replacement: string;
  readonly found: Finder;
  /** Kinds of actions that make up the programs of the search, where any programs would take long. */
  readonly focus?: readonly Kind[];
}

export const bugs: readonly Bug[] = [
  ...pagedBugs,
  {
    name: "a store by a device leaves the retained copy of the page valid",
    file: "device/device-access.js",
    text: "machine.host.retained.wrote(frame);",
    replacement: ";",
    found: "random programs",
    focus: ["deviceStore", "toDevice", "load"],
  },
  {
    name: "a page that comes back is dropped without a copy although nothing is retained of it",
    file: "device/migrate-to-host.js",
    text: "if (destination === copied)",
    replacement: "if (destination === home)",
    found: "random programs",
  },
  {
    name: "a migration is finalized while its copy is still under way",
    file: "device/migrate-to-device.js",
    text: "await device.upload(copies);",
    replacement: "device.upload(copies).catch(() => {});",
    found: "random programs",
  },
  {
    name: "whoever waits for a page's lock is not woken",
    file: "mm/frames/page-lock.js",
    text: "this.#wake(frame);",
    replacement: ";",
    found: "random programs",
  },
  {
    name: "a device frame is handed out again while its page is still there",
    file: "device/frame-allocator.js",
    text: "this.take(frame, 1);",
    replacement: "this.#free -= 1;",
    found: "random programs",
  },
  {
    name: "a device keeps its table entry when the engine takes the page out of the page table",
    file: "device/page-table.js",
    text: 'if (event !== "migrate" ||',
    replacement: 'if (event !== "clear" &&',
    found: "random programs",
  },
  {
    name: "a device keeps its table entry while its page is copied away",
    file: "device/resident-entries.js",
    text: "table.clear(start + i, start + i + 1);",
    replacement: ";",
    found: "random programs",
  },
  {
    name: "other devices do not hear of a migration",
    file: "migrate/collect.js",
    text: 'mm.notifiers.notify("migrate", first, end, args.owner);',
    replacement: ";",
    found: "random programs",
  },
  {
    name: "the pages step moves a page that somebody else has a reference to",
    file: "migrate/pages.js",
    text: "!== (from === faultPage ? 2 : 1)",
    replacement: "< 1",
    found: "recorded runs",
  },
  {
    name: "setup does not look whether somebody else uses the page",
    file: "migrate/unmap.js",
    text: "- extra > mapcount",
    replacement: "< mapcount",
    found: "random programs",
  },
  {
    name: "a page is inserted over an entry that appeared meanwhile",
    file: "migrate/insert.js",
    text: "if (word !== 0 && !isZeroPageEntry(word))",
    replacement: "if (word === -1)",
    found: "random programs",
  },
  {
    name: "a page that does not move keeps its migration entry",
    file: "migrate/restore.js",
    text: "if (leaf === 0)",
    replacement: "if (leaf === 0 || source === destination)",
    found: "random programs",
  },
  {
    name: "pages that setup refuses are not restored",
    file: "migrate/unmap.js",
    text: "if (restore > 0)",
    replacement: "if (restore < 0)",
    found: "random programs",
  },
  {
    name: "a restored entry is not exclusive any more",
    file: "migrate/restore.js",
    text: "owned ? PTE_EXCLUSIVE : 0",
    replacement: "0",
    found: "random programs",
  },
  {
    name: "an entry that was writable is restored read-only",
    file: "migrate/restore.js",
    text: "restored = maybeWritable(vma, restored);",
    replacement: ";",
    found: "recorded runs",
  },
  {
    name: "a page that somebody has locked is taken all the same",
    file: "migrate/collect.js",
    text: "if ((words[record + FLAGS] & PG_LOCKED) !== 0)",
    replacement: "if (false)",
    found: "random programs",
  },
  {
    name: "unmapping a page that is about to move does not give its charge back",
    file: "mm/space/zap.js",
    text: "else if (isMigrationEntry(word))",
    replacement: "else if (false)",
    found: "random programs",
  },
  {
    name: "a retained frame that is given up keeps its charge",
    file: "mm/host/retained.js",
    text: "this.#charge.uncharge(1);",
    replacement: ";",
    found: "random programs",
  },
  {
    name: "the home frame of a page on coherent memory is retained",
    file: "migrate/finalize.js",
    text: "=== ZONE_PRIVATE",
    replacement: "!== ZONE_SYSTEM",
    found: "random programs",
  },
  {
    name: "what a device's fault saw is entered although it was invalidated meanwhile",
    file: "mm/space/notifier.js",
    text: "return this.#find(interval).sequence !== sequence;",
    replacement: "return false;",
    found: "random programs",
    focus: ["deviceStore", "deviceLoad", "toDevice", "evict"],
  },
  {
    name: "the reverse map looks for a page in the wrong place of its mapping",
    file: "mm/space/vma.js",
    text: "this.start + (index - this.offset)",
    replacement: "this.start + (index - this.offset) + 1",
    found: "random programs",
  },
  {
    name: "a page that a device had for itself comes back without its exclusive mark",
    file: "mm/fault/exclusive-entry.js",
    text: "(PTE_SOFT_DIRTY | PTE_EXCLUSIVE)",
    replacement: "PTE_SOFT_DIRTY",
    found: "random programs",
  },
  {
    name: "a fork shares a page that is pinned for DMA",
    file: "mm/copy/fork.js",
    text: "machine.frames.maybeDmaPinned(frame)",
    replacement: "false",
    found: "random programs",
  },
  {
    name: "a fork does not take pages back that a device has for itself",
    file: "mm/copy/fork.js",
    text: "restoreExclusiveEntry(vma, page, word);",
    replacement: ";",
    found: "random programs",
  },
  {
    name: "a fork leaves pages that are private to a device writable",
    file: "mm/copy/fork.js",
    text: "word & ~(PTE_WRITE | PTE_EXCLUSIVE);",
    replacement: "isDevicePrivateEntry(word) ? word : word & ~(PTE_WRITE | PTE_EXCLUSIVE);",
    found: "random programs",
  },
  {
    name: "a page that moves to private device memory forgets that it is soft-dirty",
    file: "migrate/restore.js",
    text: "(word & PTE_TRACKING) | writable | exclusive",
    replacement: "writable | exclusive",
    found: "random programs",
  },
  {
    name: "a page that comes back to memory forgets that it is soft-dirty",
    file: "migrate/restore.js",
    text: "(word & (PTE_SOFT_DIRTY | PTE_YOUNG))",
    replacement: "(word & PTE_YOUNG)",
    found: "random programs",
  },
  {
    name: "clearing soft-dirty leaves pages writable",
    file: "mm/space/soft-dirty.js",
    text: "& ~(PTE_WRITE | PTE_SOFT_DIRTY)",
    replacement: "& ~PTE_SOFT_DIRTY",
    found: "random programs",
  },
  {
    name: "a swap slot is free as soon as one of its entries is gone",
    file: "mm/swap/swap.js",
    text: "this.#counts[slot] === 0 && this.#cache[slot] === 0",
    replacement: "this.#cache[slot] === 0",
    found: "random programs",
    focus: ["pageOut", "fork", "load"],
  },
  {
    name: "unmapping leaves the slot of a page that is in swap taken",
    file: "mm/space/zap.js",
    text: "machine.swap?.releaseAndReclaim(frame)",
    replacement: "void 0",
    found: "random programs",
  },
  {
    name: "a page of the swap cache that was written again counts as written to swap",
    file: "mm/swap/pageout.js",
    text: "frames.setFlags(frame, PG_DIRTY);\n        swap.duplicate(slot);",
    replacement: ";\n        swap.duplicate(slot);",
    found: "random programs",
    focus: ["pageOut", "load"],
  },
  {
    name: "a page whose write to swap failed counts as written",
    file: "mm/swap/pageout.js",
    text: "frames.setFlags(frame, PG_DIRTY);\n            return false;",
    replacement: "return false;",
    found: "random programs",
    focus: ["pageOut", "load"],
  },
  {
    name: "devices do not hear that a page is paged out",
    file: "mm/swap/pageout.js",
    text: '        notifiers.notify("clear", page, page + 1, null);\n        if (!mapsFrame(pageTable',
    replacement: "        if (!mapsFrame(pageTable",
    found: "random programs",
  },
  {
    name: "a page is paged out that is mapped more than once",
    file: "mm/swap/pageout.js",
    text: "machine.frames.mapcount(frame) !== 1 || !machine.lru.isolate(frame)",
    replacement: "!machine.lru.isolate(frame)",
    found: "recorded runs",
  },
  {
    name: "a page is mapped from the swap cache before its bytes are there",
    file: "mm/swap/swap-in.js",
    text: "if ((mm.machine.frames.flags(frame) & PG_LOCKED) !== 0)\n        return faultResult(FAULT_WAIT, frame);\n    const write",
    replacement: "const write",
    found: "random programs",
    focus: ["pageOut", "load"],
  },
  {
    name: "a store to a private mapping of a file goes to the file's page",
    file: "mm/file/file-fault.js",
    text: "if (write && (vma.flags & VM_SHARED) === 0)",
    replacement: "if (false)",
    found: "random programs",
  },
  {
    name: "a page of an object that is nowhere else is dropped when it is paged out",
    file: "mm/file/page-cache.js",
    text: "if ((frames.flags(frame) & PG_DIRTY) !== 0) {",
    replacement: "if (false) {",
    found: "random programs",
    focus: ["pageOut", "mapObject", "load"],
  },
  {
    name: "a page of an object that came back from swap counts as clean, although its slot is free",
    file: "mm/file/page-cache.js",
    text: "this.#releaseSlot(index);\n        frames.setFlags(frame, PG_DIRTY);\n    }\n    /**",
    replacement: "this.#releaseSlot(index);\n    }\n    /**",
    found: "random programs",
    focus: ["pageOut", "mapObject", "load"],
  },
  {
    name: "a write fault does not drain the LRU batch before it counts who else uses the page",
    file: "mm/fault/fault.js",
    text: "lru.drain();",
    replacement: ";",
    found: "recorded runs",
  },
  {
    name: "a device's migration takes pages of another device",
    file: "migrate/collect.js",
    text: "(flags & MIGRATE_VMA_SELECT_DEVICE_PRIVATE) !== 0 && zones.of(frame).pageMap?.owner === owner",
    replacement: "(flags & MIGRATE_VMA_SELECT_DEVICE_PRIVATE) !== 0",
    found: "random programs",
    focus: ["toDevice", "toHost", "load"],
  },
  {
    name: "of several mappings of a page that moved only the first one comes back",
    file: "migrate/restore.js",
    text: "addToWord(words, at + REFCOUNT, 1);",
    replacement: "addToWord(words, at + REFCOUNT, 1); break;",
    found: "random programs",
  },
  {
    name: "devices do not hear that a page moves which another process has migrated",
    file: "mm/frames/rmap.js",
    text: 'notifiers.notify("clear", page, page + 1, null);',
    replacement: ";",
    found: "random programs",
  },
  {
    name: "an exit during a migration drops a reference that the migration entry does not have",
    file: "mm/space/zap.js",
    text: "mm.resident.uncharge(machine.frames.isAnonymous(frame) ? 1 : 0);",
    replacement: "(mm.resident.uncharge(machine.frames.isAnonymous(frame) ? 1 : 0), machine.put(frame));",
    found: "random programs",
    focus: ["toDevice", "fork", "exit"],
  },
  {
    name: "a page of coherent device memory is pinned for long where it is",
    file: "access/long-term-pin.js",
    text: "if (!frames.some((frame) => machine.zones.of(frame).kind === ZONE_COHERENT))",
    replacement: "if (true)",
    found: "random programs",
  },
  {
    name: "a huge page is split although a part of it is pinned",
    file: "mm/huge/huge-page.js",
    text: "|| frames.refcount(head) !== frames.totalMapcount(head)",
    replacement: "",
    found: "huge programs",
  },
  {
    name: "splitting a huge entry forgets whose its pages are",
    file: "mm/huge/split-entry.js",
    text: "PTE_UFFD_WP | PTE_EXCLUSIVE));",
    replacement: "PTE_UFFD_WP));",
    found: "huge programs",
  },
  {
    name: "devices do not hear that a huge entry is split",
    file: "mm/huge/huge-entry.js",
    text: 'notifiers.notify("clear", first, first + TABLE_WORDS, null);',
    replacement: ";",
    found: "recorded runs",
  },
  {
    name: "a part of a compound page migrates by itself",
    file: "migrate/collect.js",
    text: "|| (words[record + FLAGS] & PG_COMPOUND) !== 0",
    replacement: "",
    found: "recorded runs",
  },
  {
    name: "a write to a huge page that is shared makes it this mapping's own",
    file: "mm/huge/huge-fault.js",
    text: "if (machine.frames.refcount(head) !== 1)",
    replacement: "if (false)",
    found: "huge programs",
  },
  {
    name: "a kernel writes a page that a snapshot shares",
    file: "unified/local/local-kernel.js",
    text: "await this.#unshareWritten(operands, invocations, checkpoint);",
    replacement: ";",
    found: "random arrays",
  },
  {
    name: "those who share a page that is written at home get a frame without its bytes",
    file: "mm/copy/sharers.js",
    text: "machine.zones.copy(copy, frame);",
    replacement: ";",
    found: "random arrays",
  },
  {
    name: "the snapshot of a page that was written on the device is copied from its retained frame",
    file: "device/unshare.js",
    text: "host.retained.hasCopy(frame)",
    replacement: "(vma.home !== null && (host.retained.wrote(frame), true))",
    found: "random arrays",
  },
  {
    name: "a fork of a page leaves it writable",
    file: "mm/copy/fork.js",
    text: "const shared = word & ~(PTE_WRITE | PTE_EXCLUSIVE);",
    replacement: "const shared = word;",
    found: "random arrays",
  },
  {
    name: "a snapshot shares a page that is pinned",
    file: "mm/copy/fork.js",
    text: "&& machine.frames.maybeDmaPinned(frame)",
    replacement: "&& child !== from.mm && machine.frames.maybeDmaPinned(frame)",
    found: "random arrays",
  },
  {
    name: "a pin for reading holds a page that is shared",
    file: "mm/fault/gup.js",
    text: "return write || references < GUP_PIN_COUNTING_BIAS || !shared;",
    replacement: "return true;",
    found: "random arrays",
  },
  {
    name: "what a kernel writes is not marked as written",
    file: "unified/local/residency.js",
    text: "word | WRITTEN | dirty",
    replacement: "word | PTE_WRITE | dirty",
    found: "random arrays",
  },
  {
    name: "a store to a page that is writable already is not marked as written",
    file: "access/host-access.js",
    text: "const WRITTEN = PTE_YOUNG | PTE_MAKE_DIRTY;",
    replacement: "const WRITTEN = PTE_YOUNG | 8;",
    found: "random arrays",
  },
  {
    name: "a clear of what was written forgets what is pinned for writing",
    file: "unified/local/local-mapping.js",
    text: "of this.pins)",
    replacement: "of [])",
    found: "random arrays",
  },
  {
    name: "a kernel that writes an array gets a view of it as well",
    file: "unified/kernel.js",
    text: "isSameMapping(candidate.mapping, mapping)",
    replacement: "false",
    found: "random arrays",
  },
  {
    name: "a snapshot of a page on a device forgets that it was written",
    file: "mm/copy/fork.js",
    text: "const remade = to.mm !== from.mm &&",
    replacement: "const remade =",
    found: "random arrays",
  },
];
