/**
 * The protocol as a list of cases, with the place in the compiled sources where each is decided: how often a run came by
 * there is how often the case occurred. A row that no recorded run of Linux reaches names a test that does.
 *
 * What a row says of bits that are only carried over is not listed: it is one expression, and every state of every
 * recorded run is compared by it.
 */

/** How often a place was reached: a text that occurs once in the source, white space aside, with » before the place. */
export type Place = string;

/** Of several places: those that count, and those that are taken off, where a case is what is left of another. */
export type Occurrences = Place | { readonly of: readonly Place[]; readonly without: readonly Place[] };

export interface ProtocolRow {
  readonly table: string;
  readonly row: string;
  /** Below src/, as compiled. */
  readonly source: string;
  readonly at: Occurrences;
  /** Below test/: a test's file, and its name. */
  readonly test: { readonly file: string; readonly name: string } | null;
}

/** What Linux decides and the engine has no occasion to. */
export interface AbsentRow {
  readonly table: string;
  readonly row: string;
  readonly reason: string;
}

/** Each row: what happens, where, and the test that reaches it where no recorded run does. */
type Line = readonly [row: string, at: Occurrences, test?: string | undefined, source?: string];

function table(name: string, source: string, lines: readonly Line[]): ProtocolRow[] {
  return lines.map(([row, at, test, other]) => ({
    table: name,
    row,
    source: other ?? source,
    at,
    test: test === undefined ? null : testNamed(test),
  }));
}

/** `setup: no vma` is the test of that name in migrate/setup.test.ts. */
function testNamed(text: string): { file: string; name: string } {
  const [file, ...name] = text.split(": ");
  return { file: `migrate/${file}.test.js`, name: name.join(": ") };
}

function left(of: readonly Place[], without: readonly Place[]): Occurrences {
  return { of, without };
}

const START_LOOKED_AT = "if (first < vma.start || end > vma.end)";
const END_LOOKED_AT = "if (first < vma.start || »end > vma.end)";
const OUTSIDE = 'throw new MemoryError("EINVAL", `pages ${first} to ${end} are not within the VMA';
const COLLECTED = "collect(args, vma, first, end);";
const UNMAPPED = "args.cpages = unmapCollected(";

const setup = table("setup", "migrate/setup.js", [
  ["no VMA: EINVAL", 'throw new MemoryError("EINVAL", "a migration needs a VMA")', "setup: no vma"],
  [
    "hugetlb or VM_SPECIAL: EINVAL",
    'throw new MemoryError("EINVAL", "pages of a special mapping do not migrate")',
    "setup: hugetlb",
  ],
  ["no pages: EINVAL", 'throw new MemoryError("EINVAL", `a migration of pages ${first}', "setup: no pages"],
  ["start outside the VMA: EINVAL", left([START_LOOKED_AT], [END_LOOKED_AT]), "setup: a start outside the vma"],
  ["end outside the VMA: EINVAL", left([OUTSIDE, END_LOOKED_AT], [START_LOOKED_AT]), "setup: an end outside the vma"],
  [
    "a fault page that is not device-private: EINVAL",
    'throw new MemoryError("EINVAL", `fault page ${args.faultPage}',
    "setup: a fault page that is not private to a device",
  ],
  [
    "bounds that are not page-aligned: EINVAL (Linux overruns the arrays)",
    'throw new MemoryError("EINVAL", `bounds ${args.start}',
    "setup: bounds that are not page-aligned",
  ],
  [
    "more pages than the arrays hold: EINVAL (Linux trusts the caller)",
    'throw new MemoryError("EINVAL", `${end - first} pages exceed',
    "setup: more pages than the arrays hold",
  ],
  [
    "no arrays: EINVAL, when they are made",
    'throw new MemoryError("EINVAL", `a capacity of',
    "setup: arrays for no pages",
    "migrate/migrate-vma.js",
  ],
  ["else: arrays zeroed, collected", COLLECTED],
  ["something was collected: unmapped", UNMAPPED],
  ["nothing was collected: done, no error", left([COLLECTED], [UNMAPPED])],
]);

const NONE = "if (!vma.anonymous) continue;";
const NONE_ELSEWHERE = "if (!vma.anonymous) »continue;";
const ZERO_PAGE = "else if (»(word & PTE_PRESENT) === 0 || (flags & MIGRATE_VMA_SELECT_SYSTEM) === 0)";
const ZERO_PAGE_REFUSED = "(flags & MIGRATE_VMA_SELECT_SYSTEM) === 0) »continue; src[place + i]";
const SYSTEM_PAGE = "if ((flags & MIGRATE_VMA_SELECT_SYSTEM) === 0) continue; }";
const SYSTEM_REFUSED = "if ((flags & MIGRATE_VMA_SELECT_SYSTEM) === 0) »continue; }";
const PRIVATE_PAGE = "return (flags & MIGRATE_VMA_SELECT_DEVICE_PRIVATE) !== 0";
const PRIVATE_SELECTED = "return (flags & MIGRATE_VMA_SELECT_DEVICE_PRIVATE) !== 0 && »zones.of(frame)";
const COHERENT_PAGE = "return (flags & MIGRATE_VMA_SELECT_DEVICE_COHERENT) !== 0";
const COHERENT_SELECTED = "return (flags & MIGRATE_VMA_SELECT_DEVICE_COHERENT) !== 0 && »zones.of(frame)";
const DEVICE_REFUSED = "else if (!isSelectedDevicePage(zones, frame, flags, owner)) »continue;";
const CANDIDATE = "if (words[record + MAPPING] === 0 ||";
const MAPPED = "if (words[record + MAPPING] === 0 || »(words[record + FLAGS] & PG_COMPOUND)";
const NOT_WHOLE = "(words[record + FLAGS] & PG_COMPOUND) !== 0) »continue;";
const HUGE_PAGE = "if (head !== 0) »return machine.hugePages.splitHugePage(";
const HUGE_PAGE_HELD = "&& !openHugePage(vma, page)) { »page = blockEnd;";

const collect = table("collect", "migrate/collect.js", [
  ["hole, anonymous VMA: MIGRATE", "args.src.fill(MIGRATE_PFN_MIGRATE"],
  ["hole, other VMA: 0", "if (!vma.anonymous) »return;"],
  ["huge zero page: its entry is split", "splitHugeEntry(vma, page);"],
  [
    "huge page, held or locked, so not split: 0 for all of it",
    HUGE_PAGE_HELD,
    "huge: a huge page that somebody holds: nothing of it may migrate, and it stays whole until it is let go",
  ],
  ["huge page, split: its entries", left([HUGE_PAGE], [HUGE_PAGE_HELD])],
  ["none, anonymous VMA: MIGRATE", left([NONE], [NONE_ELSEWHERE])],
  ["none, other VMA: 0", NONE_ELSEWHERE],
  ["not present, not device-private: 0", "if (!present && !isDevicePrivateEntry(word)) »continue;"],
  ["device-private, not selected: 0", left([PRIVATE_PAGE], [PRIVATE_SELECTED])],
  ["device-private, selected: pfn, VALID, MIGRATE", PRIVATE_SELECTED],
  ["zero page, SELECT_SYSTEM: MIGRATE", left([ZERO_PAGE], [ZERO_PAGE_REFUSED])],
  ["zero page, else: 0", ZERO_PAGE_REFUSED],
  ["present, system page, not SELECT_SYSTEM: 0", SYSTEM_REFUSED],
  ["present, system page, selected", left([SYSTEM_PAGE], [SYSTEM_REFUSED])],
  ["present, coherent page, not SELECT_COHERENT: 0", left([COHERENT_PAGE], [COHERENT_SELECTED])],
  ["present, coherent page, selected", COHERENT_SELECTED],
  [
    "a device's page, selected, of another owner: 0",
    left([DEVICE_REFUSED, PRIVATE_SELECTED, COHERENT_SELECTED], [PRIVATE_PAGE, COHERENT_PAGE]),
  ],
  ["page without mapping: 0", left([CANDIDATE], [MAPPED]), "setup: a page without a mapping: does not"],
  ["part of a compound page: 0", left([NOT_WHOLE, MAPPED], [CANDIDATE])],
  [
    "lock not had: 0, entry untouched",
    "(words[record + FLAGS] & PG_LOCKED) !== 0) »continue;",
    "setup: because its lock is not had at once keeps its entry, and nobody waits",
  ],
  [
    "anonymous exclusive, perhaps pinned for DMA: entry put back, 0",
    "storeWord(entries, at, word); return false;",
    "setup: because it may be pinned for DMA keeps its entry and gets its lock back",
  ],
  ["else: a migration entry takes its place", "words[record + FLAGS] |= PG_LOCKED;"],
  ["entry writable: WRITE", "(word & PTE_WRITE) === 0 ? 0 : »MIGRATE_PFN_WRITE"],
  ["entry read-only: no WRITE", "(word & PTE_WRITE) === 0 ? »0 : MIGRATE_PFN_WRITE"],
  ["present dirty entry: the page is dirty", "machine.frames.words[frame << FRAME_SHIFT] |= PG_DIRTY;"],
  [
    "present entry: young and dirty go into the migration entry",
    "(word & PTE_PRESENT) === 0 ? 0 : »word & (PTE_YOUNG | PTE_DIRTY)",
    undefined,
    "mm/frames/rmap.js",
  ],
  [
    "device-private entry: neither young nor dirty",
    "(word & PTE_PRESENT) === 0 ? »0 : word & (PTE_YOUNG | PTE_DIRTY)",
    undefined,
    "mm/frames/rmap.js",
  ],
]);

const ISOLATING = "if (system && »!lru.isolate(frame))";
const NOT_ISOLATED = "if (system && !lru.isolate(frame)) { »src[i]";
const LOOKED_AT = "return mapcount !== 0 ||";
const NOT_MAPPED = "return mapcount !== 0 || »loadWord(words, at + REFCOUNT)";
const USED = "if (isStillUsed(machine, frame, !system, faultPage)) { »if (system)";

const unmap = table("unmap", "migrate/unmap.js", [
  ["the LRU batch is drained first", "lru.drain();"],
  ["no page, MIGRATE set: counted", "if ((word & MIGRATE_PFN_MIGRATE) !== 0) »unmapped++;"],
  [
    "system page, isolation fails: to be restored",
    NOT_ISOLATED,
    "unmap: a system page whose isolation fails: restored, not counted",
  ],
  ["system page, isolated", left([ISOLATING], [NOT_ISOLATED])],
  ["device page: never on the LRU", left(["if (system && !lru.isolate(frame))"], [ISOLATING])],
  ["still mapped elsewhere: unmapped there", "tryToMigrate(machine, frame);"],
  [
    "... where an exclusive entry cannot be shared, the walk stops",
    "storeWord(entries, at, word); return false;",
    "unmap: a page that is still mapped, since it may be pinned for DMA: its mapping stays, restored",
    "mm/frames/rmap.js",
  ],
  [
    "still mapped: to be restored",
    left([LOOKED_AT], [NOT_MAPPED]),
    "unmap: a page that is still mapped, since it may be pinned for DMA: its mapping stays, restored",
  ],
  ["the pin check fails: to be restored", left([USED, NOT_MAPPED], [LOOKED_AT])],
  ["... a system page goes back on the LRU", "frames.get(frame); lru.putback(frame);"],
  ["else: counted", "else »unmapped++;"],
  ["pin check, the fault page: one reference more", "(frame === faultPage ? »1 : 0)"],
  ["pin check, a device page: one reference more", "(device ? »1 : 0)"],
  ["pin check, a cached page: one reference more", "(cached ? »1 : 0)"],
  ["restored: entries, lock and reference", "restoreEntries(machine, frame, frame);"],
]);

const pages = table("pages", "migrate/pages.js", [
  ["dst not VALID: MIGRATE cleared", "if ((destination & MIGRATE_PFN_VALID) === 0) { »src[i]"],
  ["no source page, MIGRATE: a new page is inserted", "if (!insertPage(args.vma, first + i, to))"],
  ["... the first one opens a notifier range", 'args.vma.mm.notifiers.notify("migrate", first + i'],
  [
    "no source page, not MIGRATE, dst valid: nothing",
    "if ((source & MIGRATE_PFN_MIGRATE) === 0) »continue; if (args === null",
    "pages: that is not MIGRATE, with a destination: nothing happens, and finalize gives the destination back",
  ],
  [
    "no source page in a migration of a device range: MIGRATE cleared",
    "if (args === null || args.vma === null) { »src[i]",
    "pages: cannot be filled by a migration of a device range, which knows no address",
  ],
  [
    "source page, MIGRATE taken back by the driver: nothing",
    "if ((source & MIGRATE_PFN_MIGRATE) === 0) »continue; if (!moveIdentity",
    "pages: whose MIGRATE the driver took back does not move, and its destination is given back",
  ],
  [
    "dst on a device, source cached for a file or swap: MIGRATE cleared",
    "if (!anonymous && (kind === ZONE_PRIVATE || kind === ZONE_COHERENT)) »return false;",
  ],
  ["reference count not exact: MIGRATE cleared", "(from === faultPage ? 2 : 1)) »return false;"],
  ["fault page: one reference more", "from === faultPage ? »2 : 1"],
  ["else: the identity moves", "words[destination + MAPPING] = mapping;"],
]);

const NO_TABLE = "if (pageTable.huge(page) !== 0 || pageTable.ensureLeaf(page) === 0)";
const NOT_HUGE = "if (pageTable.huge(page) !== 0 || »pageTable.ensureLeaf(page) === 0)";
const ANONYMOUS = "if (!vma.anonymous || »mm.exiting)";
const ENTRY_LOOKED_AT = "if (word !== 0 && !isZeroPageEntry(word))";
const ENTRY_FOUND = "if (word !== 0 && »!isZeroPageEntry(word))";
const ENTRY_TAKEN = "if (word !== 0 && !isZeroPageEntry(word)) »return false;";

const insert = table("insert", "migrate/insert.js", [
  [
    "VMA not anonymous: aborts",
    left(["if (!vma.anonymous || mm.exiting)"], [ANONYMOUS]),
    "insert: the vma is not anonymous",
  ],
  [
    "address space being torn down: aborts",
    left(["if (!vma.anonymous || mm.exiting) »return false;", ANONYMOUS], ["if (!vma.anonymous || mm.exiting)"]),
    "insert: the address space is being torn down",
  ],
  [
    "a huge entry stands there: aborts",
    left(["if (pageTable.huge(page) !== 0 ||"], [NOT_HUGE]),
    "insert: a huge page has come by a fault meanwhile",
  ],
  [
    "no table to be had: aborts",
    left([`${NO_TABLE} »return false;`, NOT_HUGE], [NO_TABLE]),
    "insert: a table cannot be allocated",
  ],
  [
    "userfault-missing handler: aborts",
    "if ((vma.flags & VM_UFFD_MISSING) !== 0) »return false;",
    "insert: the program handles faults on missing pages itself",
  ],
  ["no anon_vma to be had: aborts", "if (!prepareAnonVma(vma)) »return false;", "insert: the anon_vma cannot be had"],
  ["charge fails: aborts", "if (!mm.tryCharge()) »return false;", "insert: the charge fails"],
  [
    "entry present and not the zero page, or not present and not none: aborts",
    ENTRY_TAKEN,
    "insert: a page has come by a fault meanwhile",
  ],
  ["into a hole", left([ENTRY_LOOKED_AT], [ENTRY_FOUND])],
  ["in the place of the zero page", left([ENTRY_FOUND], [ENTRY_TAKEN])],
  ["dst private: a device-private entry", "pageTable.exchange(page, devicePrivateEntry("],
  ["dst coherent: a present entry", left(["pageTable.exchange(page, makeEntry("], ["machine.lru.add(frame)"])],
  [
    "dst system: a present entry, on the LRU",
    "machine.lru.add(frame)",
    "insert: of host memory is legal too: a present entry, and the page is on the LRU",
  ],
  ["VMA writable: entry writable", "(vma.flags & VM_WRITE) === 0 ? 0 : »PTE_WRITE"],
  ["VMA read-only: entry read-only", "(vma.flags & VM_WRITE) === 0 ? »0 : PTE_WRITE"],
]);

const MAYBE_DIRTY = "if ((word & PTE_DIRTY) !== 0 && »(machine.frames";
const DIRTY = "restored |= PTE_MAKE_DIRTY;";

const finalize = [
  ...table("finalize", "migrate/finalize.js", [
    ["no source page: dst, if any, unlocked and put", "if ((source & MIGRATE_PFN_VALID) === 0) »continue;"],
    ["not MIGRATE, or no dst: the original is restored", "? dst[i] >>> MIGRATE_PFN_SHIFT : »from);"],
    ["... its dst, if any, unlocked and put", "pageLocks.unlock(to); machine.put(to);"],
    ["else: entries of dst", "? »dst[i] >>> MIGRATE_PFN_SHIFT : from);"],
    ["a system page is on the LRU again", "machine.lru.putback(frame);"],
    ["a device page: its reference is put", "else »machine.put(frame);"],
  ]),
  ...table("finalize, each entry", "migrate/restore.js", [
    ["dst private: a device-private entry", "restored = devicePrivateEntry(destination"],
    ["... writable as far as the VMA is", "(word & PTE_WRITE) === 0 ? 0 : »maybeWritable(vma, 0)"],
    ["... read-only", "(word & PTE_WRITE) === 0 ? »0 : maybeWritable(vma, 0)"],
    ["dst system or coherent: a present entry", "restored = (makeEntry(vma, destination)"],
    ["... entry and page dirty: dirty", DIRTY],
    [
      "... entry dirty, page clean: clean",
      left([MAYBE_DIRTY], [DIRTY]),
      "finalize: is dirty only if both the page and the entry are",
    ],
    ["... writable as far as the VMA is", "restored = maybeWritable(vma, restored);"],
    ["... not writable: userfault-wp kept", "restored |= word & PTE_UFFD_WP;"],
    ["exclusive when it was not plainly readable", "owned ? »PTE_EXCLUSIVE : 0"],
    ["shared when it was plainly readable", "owned ? PTE_EXCLUSIVE : »0"],
    [
      "another entry stands there, or none: left alone",
      "(word & (PTE_PRESENT | PTE_MIGRATION)) !== PTE_MIGRATION) »return false;",
    ],
  ]),
];

const deviceRange = table("device range", "migrate/device-range.js", [
  ["a free page: 0", "if (!frames.tryGet(frame, 1)) »continue;"],
  [
    "a page that cannot be locked: 0",
    "else »machine.put(frame); } return unmapCollected(",
    "device-range: gives 0 for frames that are locked, and does not wait",
  ],
  [
    "else: VALID and MIGRATE, never WRITE",
    "src[i] = (frame << MIGRATE_PFN_SHIFT) | MIGRATE_PFN_VALID | MIGRATE_PFN_MIGRATE;",
  ],
]);

const coherentPage = table("coherent page", "migrate/device-range.js", [
  ["the lock is waited for", "await pageLocks.wait(frame);", "coherent-page: waits for the page's lock"],
  [
    "not MIGRATE after unmap: EBUSY",
    'throw new MemoryError("EBUSY", `page frame ${frame} of coherent memory is in use`); const destination',
    "coherent-page: is refused, as busy, when somebody else refers to the page twice: lock and reference are gone",
  ],
  [
    "no system page: not moved, ENOMEM (Linux: EBUSY)",
    'throw new MemoryError("ENOMEM", `no host memory for page frame',
    "coherent-page: without a system page does not happen; the error names the reason (Linux: EBUSY)",
  ],
  [
    "refused by the pages step: EBUSY",
    'if (!moved) »throw new MemoryError("EBUSY"',
    "coherent-page: is refused, as busy, when somebody else refers to it once, by the exact count of the pages step",
  ],
  ["else: moves, copies, finalizes", "zones.copy(destination, frame);"],
]);

export const protocolRows: readonly ProtocolRow[] = [
  ...setup,
  ...collect,
  ...unmap,
  ...pages,
  ...insert,
  ...finalize,
  ...deviceRange,
  ...coherentPage,
];

export const absentRows: readonly AbsentRow[] = [
  { table: "setup", row: "dax: EINVAL", reason: "there are no such mappings" },
  { table: "collect", row: "bad upper entry: 0", reason: "page tables do not go bad" },
  { table: "unmap", row: "system page, not on the LRU: all batches drained once", reason: "there is one batch" },
  { table: "unmap", row: "pin check, a compound page: fails", reason: "none is collected" },
  { table: "pages", row: "dst another kind of device page: MIGRATE cleared", reason: "there is no other kind" },
  { table: "pages", row: "has_private with a mapping: one more", reason: "pages of objects never move" },
  { table: "insert", row: "dst another kind of device page: aborts", reason: "there is no other kind" },
];
