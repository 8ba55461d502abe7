/**
 * The first step of a migration: checks what is asked, collects, unmaps. Counterpart: `migrate_vma_setup`.
 */

import { MemoryError } from "../mm/errors.js";
import type { Machine } from "../mm/machine.js";
import { assertNotInCallback } from "../mm/space/notifier.js";
import { VM_HUGETLB, VM_SPECIAL, type Vma } from "../mm/space/vma.js";
import { ZONE_PRIVATE } from "../mm/frames/zone.js";
import { collect } from "./collect.js";
import type { MigrateVma } from "./migrate-vma.js";
import { unmapCollected } from "./unmap.js";

/**
 * Prepares pages `[args.start, args.end)` of `args.vma` for a migration. The caller holds the mmap lock for reading until
 * `migrateVmaFinalize`. Afterwards `args.src` says page by page what may move, and `args.cpages` how many; that can be
 * none. The driver gives a locked destination in `args.dst` for each page that it takes, and copies or clears.
 *
 * Throws EINVAL, with nothing changed, for no VMA or a special one, bounds that are not page-aligned or outside the VMA,
 * an empty range or one beyond the arrays' capacity, a fault page that is not private to a device.
 */
export function migrateVmaSetup(args: MigrateVma): void {
  assertNotInCallback();
  const { vma } = args;
  if (vma === null) throw new MemoryError("EINVAL", "a migration needs a VMA");
  if ((vma.flags & (VM_HUGETLB | VM_SPECIAL)) !== 0)
    throw new MemoryError("EINVAL", "pages of a special mapping do not migrate");
  const { machine, mmapLock } = vma.mm;
  if (!mmapLock.heldForReading) throw new MemoryError("EINVAL", "a migration needs the mmap lock held for reading");
  const first = args.start / machine.pageSize;
  const end = args.end / machine.pageSize;
  if (!Number.isInteger(first) || !Number.isInteger(end)) {
    throw new MemoryError(
      "EINVAL",
      `bounds ${args.start} and ${args.end} are not multiples of the page size ${machine.pageSize}`,
    );
  }
  checkRange(args, vma, first, end);
  if (args.faultPage >= machine.frames.count || (args.faultPage >= 0 && !isPrivate(machine, args.faultPage))) {
    throw new MemoryError("EINVAL", `fault page ${args.faultPage} is not private to a device`);
  }
  args.npages = end - first;
  args.src.fill(0, 0, args.npages);
  args.dst.fill(0, 0, args.npages);
  collect(args, vma, first, end);
  if (args.cpages > 0) args.cpages = unmapCollected(machine, args.src, args.npages, args.faultPage);
}

function isPrivate(machine: Machine, frame: number): boolean {
  return machine.zones.kindOf(frame) === ZONE_PRIVATE;
}

function checkRange(args: MigrateVma, vma: Vma, first: number, end: number): void {
  if (end <= first) throw new MemoryError("EINVAL", `a migration of pages ${first} to ${end} has no pages`);
  if (first < vma.start || end > vma.end) {
    throw new MemoryError(
      "EINVAL",
      `pages ${first} to ${end} are not within the VMA, pages ${vma.start} to ${vma.end}`,
    );
  }
  if (end - first > args.capacity) {
    throw new MemoryError("EINVAL", `${end - first} pages exceed the ${args.capacity} that the arrays hold`);
  }
}
