/**
 * Pins: references to the page behind an address, taken without a lock. Take the reference, read the entry again, give
 * the reference back if it changed; the pager for its part changes the entry first and looks at the count after.
 *
 * Counterpart: `mm/gup.c` (`get_user_pages_fast`, `pin_user_pages`, `gup_must_unshare`).
 */

import type { AddressSpace } from "../space/address-space.js";
import * as pageTableEntry from "../table/entry.js";
import { FAULT_DONE, FAULT_UNSHARE, FAULT_WRITE, faultIn } from "./fault.js";
import * as frameTable from "../frames/frames.js";
import type { Machine } from "../machine.js";
import * as tableShape from "../table/page-table.js";
import * as blockShape from "../frames/zone.js";
import { loadWord } from "../shared-word.js";

// A module's own constants become part of its code; imported ones are looked up at every use.
const PTE_EXCLUSIVE = pageTableEntry.PTE_EXCLUSIVE;
const PTE_FRAME_SHIFT = pageTableEntry.PTE_FRAME_SHIFT;
const PTE_NO_ACCESS = pageTableEntry.PTE_NO_ACCESS;
const PTE_PRESENT = pageTableEntry.PTE_PRESENT;
const PTE_WRITE = pageTableEntry.PTE_WRITE;
const GUP_PIN_COUNTING_BIAS = frameTable.GUP_PIN_COUNTING_BIAS;
const TABLE_MASK = tableShape.TABLE_MASK;
const BLOCK_FRAMES = blockShape.BLOCK_FRAMES;

/** References of a short-term reference (`FOLL_GET`) and of a DMA pin (`FOLL_PIN`). */
export const SHORT_REFERENCE = 1;
export const DMA_PIN = GUP_PIN_COUNTING_BIAS;

/** The frame behind the page, with `references` more, or -1 when it cannot be had without a fault. */
export function tryPinPage(mm: AddressSpace, page: number, write: boolean, references: number): number {
  const { pageTable, machine } = mm;
  const leaf = pageTable.leaf(page);
  if (leaf === 0) return tryPinHuge(mm, page, write, references);
  const entries = pageTable.chunkOf(leaf);
  const at = pageTable.baseOf(leaf) + (page & TABLE_MASK);
  const word = loadWord(entries, at);
  if (!mayPin(machine, word, write, references)) return -1;
  const frame = word >>> PTE_FRAME_SHIFT;
  if (!machine.frames.tryGet(frame, references)) return -1;
  const again = pageTable.leaf(page) === leaf ? loadWord(entries, at) : 0;
  if (again === word) return frame;
  if (again >>> PTE_FRAME_SHIFT === frame && mayPin(machine, again, write, references)) return frame;
  machine.put(frame, references);
  return -1;
}

/** The same for a page under a huge entry, which only the pager pins. */
function tryPinHuge({ machine, pageTable }: AddressSpace, page: number, write: boolean, references: number): number {
  const word = pageTable.read(page);
  const frame = word >>> PTE_FRAME_SHIFT;
  return mayPin(machine, word, write, references) && machine.frames.tryGet(frame, references) ? frame : -1;
}

/**
 * Pins pages from `page` on, below `end` and within one leaf table, as long as they lie in neighbouring frames of one
 * block from `frame` on. Returns how many; where it stops, `tryPinPage` says why. The same as page by page, but the way
 * to the entries is walked once.
 */
export function tryPinRun(
  mm: AddressSpace,
  page: number,
  end: number,
  frame: number,
  write: boolean,
  references: number,
): number {
  const { pageTable, machine } = mm;
  const { frames } = machine;
  const leaf = pageTable.leaf(page);
  if (leaf === 0) return 0;
  const entries = pageTable.chunkOf(leaf);
  const at = pageTable.baseOf(leaf) + (page & TABLE_MASK);
  const most = Math.min(end - page, TABLE_MASK + 1 - (page & TABLE_MASK), BLOCK_FRAMES - (frame & (BLOCK_FRAMES - 1)));
  let pinned = 0;
  while (pinned < most) {
    const word = loadWord(entries, at + pinned);
    const next = frame + pinned;
    if (word >>> PTE_FRAME_SHIFT !== next || !mayPin(machine, word, write, references)) break;
    if (!frames.tryGet(next, references)) break;
    if (loadWord(entries, at + pinned) !== word) {
      machine.put(next, references);
      break;
    }
    pinned++;
  }
  if (pageTable.leaf(page) === leaf) return pinned;
  for (let i = 0; i < pinned; i++) machine.put(frame + i, references);
  return 0;
}

function mayPin(machine: Machine, word: number, write: boolean, references: number): boolean {
  const needed = write ? PTE_PRESENT | PTE_WRITE : PTE_PRESENT;
  if ((word & (needed | PTE_NO_ACCESS)) !== needed) return false;
  // What others may use is unshared before it is pinned for DMA: who pins must go on seeing the writes of this mapping.
  const shared = (word & PTE_EXCLUSIVE) === 0 && machine.frames.isAnonymous(word >>> PTE_FRAME_SHIFT);
  return write || references < GUP_PIN_COUNTING_BIAS || !shared;
}

/**
 * The frame behind the page, with `references` more, faulting as often as it takes. When the access is impossible:
 * the fault's code, negated and less one, so that it is below 0.
 */
export async function pinPage(mm: AddressSpace, page: number, write: boolean, references: number): Promise<number> {
  for (;;) {
    const frame = tryPinPage(mm, page, write, references);
    if (frame >= 0) return frame;
    const unshare = references >= DMA_PIN ? FAULT_UNSHARE : 0;
    const code = await faultIn(mm, page, write ? FAULT_WRITE : unshare);
    if (code !== FAULT_DONE) return -1 - code;
  }
}
