/**
 * Splitting a VMA in two and merging neighbours into one. Both can be observed: a batch of a migration and a device's
 * fault end where the VMA ends.
 *
 * Counterpart: `mm/mmap.c` (`__split_vma`, `vma_merge`, `is_mergeable_anon_vma`).
 */

import type { AddressSpace } from "./address-space.js";
import type { HomeRange } from "../host/home-range.js";
import { blockOf, splitHugeEntry } from "../huge/huge-entry.js";
import type { PageCache } from "../file/page-cache.js";
import { TABLE_WORDS } from "../table/table-shape.js";
import { type AnonVma, VM_SOFTDIRTY, VM_SPECIAL, Vma } from "./vma.js";

/** Cuts the VMA at `page`; the lower part stays the same object. Returns the upper part. */
export function splitVma(vma: Vma, page: number): Vma {
  const { mm } = vma;
  cutHugeEntry(vma, page);
  const upper = new Vma(mm, page, vma.end, vma.flags, vma.offset + (page - vma.start), vma.home, vma.file);
  upper.cloneAnonVma(vma);
  vma.resize(vma.start, page);
  mm.vmas.splice(mm.vmas.indexOf(vma) + 1, 0, upper);
  return upper;
}

/** What an area would be as a VMA: of a new mapping, or of a part of one whose flags change. */
export interface Area {
  readonly start: number;
  readonly end: number;
  readonly flags: number;
  readonly offset: number;
  readonly anonVma: AnonVma | null;
  readonly home: HomeRange | null;
  readonly file: PageCache | null;
}

/**
 * Lets the neighbours of an area take it over, where the rules allow; the VMA that now covers it, or null. `current` is
 * the VMA that holds the area today and gives it up, null when nothing is mapped there.
 */
export function mergeVma(mm: AddressSpace, area: Area, current: Vma | null): Vma | null {
  if ((area.flags & VM_SPECIAL) !== 0) return null;
  const above = mm.indexAbove(area.start - 1);
  const candidate = mm.vmas[above];
  const previous = candidate !== undefined && candidate.end === area.start ? candidate : undefined;
  const next = mm.vmas.find((vma) => vma.start === area.end);
  const joinsPrevious = previous !== undefined && mergesAfter(previous, area);
  const joinsNext = next !== undefined && mergesBefore(next, area);
  if (joinsPrevious && joinsNext && agree(previous.anonVma, next.anonVma, null)) {
    giveUp(mm, current, area);
    const end = next.end;
    adoptAnonVma(previous, next);
    remove(mm, next);
    previous.resize(previous.start, end);
    return previous;
  }
  if (joinsPrevious) {
    if (current !== null) adoptAnonVma(previous, current);
    giveUp(mm, current, area);
    previous.resize(previous.start, area.end);
    return previous;
  }
  if (joinsNext) {
    if (current !== null) adoptAnonVma(next, current);
    giveUp(mm, current, area);
    next.resize(area.start, next.end);
    return next;
  }
  return null;
}

function mergesAfter(previous: Vma, area: Area): boolean {
  return (
    sameKind(previous, area) &&
    agree(area.anonVma, previous.anonVma, previous) &&
    area.offset === previous.offset + (previous.end - previous.start)
  );
}

function mergesBefore(next: Vma, area: Area): boolean {
  return (
    sameKind(next, area) &&
    agree(area.anonVma, next.anonVma, next) &&
    next.offset === area.offset + (area.end - area.start)
  );
}

function sameKind(vma: Vma, area: Area): boolean {
  return ((vma.flags ^ area.flags) & ~VM_SOFTDIRTY) === 0 && vma.home === area.home && vma.file === area.file;
}

/** A VMA cloned from a parent keeps to itself: one root may be missing only if the chain of `vma` is singular. */
function agree(one: AnonVma | null, other: AnonVma | null, vma: Vma | null): boolean {
  if ((one === null || other === null) && (vma === null || vma.chain.length === 1)) return true;
  return one === other;
}

function adoptAnonVma(vma: Vma, other: Vma): void {
  if (vma.anonVma === null && other.anonVma !== null) vma.cloneAnonVma(other);
}

/** Takes the area, which is an end of `current` or all of it, out of `current`. */
function giveUp(mm: AddressSpace, current: Vma | null, area: Area): void {
  if (current === null) return;
  if (current.start === area.start && current.end === area.end) remove(mm, current);
  else if (current.start === area.start) {
    cutHugeEntry(current, area.end);
    current.resize(area.end, current.end);
  } else {
    cutHugeEntry(current, area.start);
    current.resize(current.start, area.start);
  }
}

/**
 * A VMA is to end or begin at `page`: a huge entry across it is split. As in Linux, devices hear of the block also when no
 * huge entry stands there (`vma_adjust_trans_huge`).
 */
function cutHugeEntry(vma: Vma, page: number): void {
  const first = blockOf(page);
  if (page !== first && vma.mm.pageTable.hasMiddle(page) && first >= vma.start && first + TABLE_WORDS <= vma.end)
    splitHugeEntry(vma, page);
}

function remove(mm: AddressSpace, vma: Vma): void {
  mm.vmas.splice(mm.vmas.indexOf(vma), 1);
  vma.unlink();
}
