/**
 * Bugs of the kind that a migration protocol can have, each as one change of one compiled source: the text that must
 * occur there exactly once, what stands in its place, and what finds the bug, alone.
 */

/** Random programs over the engine; the recorded runs of Linux. */
export type Finder = "random programs" | "recorded runs";

export interface Bug {
  readonly name: string;
  /** Below src/, as compiled. */
  readonly file: string;
  readonly text: string;
  readonly replacement: string;
  readonly found: Finder;
}

export const bugs: readonly Bug[] = [
  {
    name: "a store by a device leaves the retained copy of the page valid",
    file: "device/device-access.js",
    text: "machine.host.retained.wrote(frame);",
    replacement: ";",
    found: "random programs",
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
    file: "mm/page-lock.js",
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
    text: "|| (words[record + FLAGS] & PG_LOCKED) !== 0",
    replacement: "",
    found: "random programs",
  },
  {
    name: "unmapping a page that is about to move does not give its charge back",
    file: "mm/zap.js",
    text: "else if (isMigrationEntry(word))",
    replacement: "else if (false)",
    found: "random programs",
  },
  {
    name: "a retained frame that is given up keeps its charge",
    file: "mm/retained.js",
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
    file: "mm/notifier.js",
    text: "return this.#find(interval).sequence !== sequence;",
    replacement: "return false;",
    found: "random programs",
  },
  {
    name: "the reverse map looks for a page in the wrong place of its mapping",
    file: "mm/vma.js",
    text: "this.start + (index - this.offset)",
    replacement: "this.start + (index - this.offset) + 1",
    found: "random programs",
  },
];
