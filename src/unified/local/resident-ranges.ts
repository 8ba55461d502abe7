/** Where the pages of a mapping are at this moment. Counterpart: `/proc/pid/pagemap`, which `fs/proc/task_mmu.c` writes. */

import { PG_HAS_COPY } from "../../mm/frames/frame-record.js";
import { ZONE_SYSTEM } from "../../mm/frames/zone.js";
import type { AddressSpace } from "../../mm/space/address-space.js";
import { isMigrationEntry, isPoisonMarker, isSwapEntry, isZeroPageEntry, pteFrame } from "../../mm/table/entry.js";
import { TABLE_MASK, TABLE_WORDS } from "../../mm/table/table-shape.js";
import type { Place, ResidentRange } from "../resident-range.js";

/** Pages `[first, end)` as ranges of elements, of which a page has `perPage`; `length` is how many there are in all. */
export function residentRanges(
  mm: AddressSpace,
  first: number,
  end: number,
  perPage: number,
  length: number,
): ResidentRange[] {
  const ranges: ResidentRange[] = [];
  const { pageTable } = mm;
  let from = first;
  let place: Place = "none";
  const close = (page: number): void => {
    const start = (from - first) * perPage;
    if (page > from) ranges.push({ start, length: Math.min((page - first) * perPage, length) - start, place });
    from = page;
  };
  for (let page = first; page < end;) {
    const blockEnd = Math.min(end, (page & ~TABLE_MASK) + TABLE_WORDS);
    const mapped = pageTable.leaf(page) !== 0 || pageTable.huge(page) !== 0;
    for (; page < blockEnd; page++) {
      const here = mapped ? placeOf(mm, pageTable.read(page)) : "none";
      if (here === place) continue;
      close(page);
      place = here;
    }
  }
  close(end);
  return ranges;
}

function placeOf({ machine: { zones, frames } }: AddressSpace, word: number): Place {
  if (word === 0 || isZeroPageEntry(word)) return "none";
  if (isMigrationEntry(word)) return "moving";
  if (isSwapEntry(word)) return "swap";
  if (isPoisonMarker(word)) return "lost";
  const frame = pteFrame(word);
  if (zones.of(frame).kind === ZONE_SYSTEM) return "host";
  return (frames.flags(frame) & PG_HAS_COPY) !== 0 ? "retained" : "device";
}
