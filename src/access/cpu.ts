/**
 * Loads and stores of the CPU through the page table, as the memory management unit does them: an entry that allows the
 * access gets its young bit, and its dirty bit on a store; any other raises a fault, and the access starts again.
 *
 * Invariant: between the look at the entry and the access to the bytes nothing can run, so no access reaches a page that
 * has moved away. The bits are set by compare-and-swap on the word that was looked at, never on another mapping's.
 *
 * Counterpart: the x86 page walk, and `arch/x86/mm/fault.c` (`do_user_addr_fault`).
 */

import type { AddressSpace } from "../mm/space/address-space.js";
import { PTE_DIRTY, PTE_FRAME_SHIFT, PTE_NO_ACCESS, PTE_PRESENT, PTE_WRITE, PTE_YOUNG } from "../mm/table/entry.js";
import { MemoryError } from "../mm/errors.js";
import { FAULT_DONE, FAULT_HWPOISON, FAULT_OOM, FAULT_SIGBUS, FAULT_WRITE, faultIn } from "../mm/fault/fault.js";
import { ADDRESS_SPACE_PAGES, TABLE_MASK } from "../mm/table/page-table.js";
import { compareExchangeWord, loadWord as loadEntry } from "../mm/shared-word.js";

/** An access that the mapping does not allow: what a process gets a signal for. */
export class AccessFault extends MemoryError {
  override readonly name = "AccessFault";

  constructor(
    readonly signal: "SIGSEGV" | "SIGBUS",
    message: string,
  ) {
    super("EFAULT", message);
  }
}

/** The 32-bit word at a byte address. Throws AccessFault, or ENOMEM when a page that it needs cannot be had. */
export async function loadWord(mm: AddressSpace, address: number): Promise<number> {
  const { zones, pageShift } = mm.machine;
  const page = pageOf(mm, address);
  for (;;) {
    const frame = touch(mm, page, false);
    if (frame >= 0) return viewOf(zones.bytes(frame)).getUint32(address - page * 2 ** pageShift, true);
    await fault(mm, address, page, false);
  }
}

/** Writes the 32-bit word at a byte address; the errors are those of `loadWord`. */
export async function storeWord(mm: AddressSpace, address: number, value: number): Promise<void> {
  const { zones, pageShift } = mm.machine;
  const page = pageOf(mm, address);
  for (;;) {
    const frame = touch(mm, page, true);
    if (frame >= 0) {
      viewOf(zones.bytes(frame)).setUint32(address - page * 2 ** pageShift, value, true);
      return;
    }
    await fault(mm, address, page, true);
  }
}

/** What a store of the processor marks an entry with. */
const STORED = PTE_YOUNG | PTE_DIRTY;

/**
 * The frame behind the page if its entry allows the access, with the entry marked young, and as a store does for a write;
 * -1 when the access has to fault. The frame holds until the next `await`.
 */
export function touch(mm: AddressSpace, page: number, write: boolean, stored = STORED): number {
  const { pageTable } = mm;
  const leaf = pageTable.leaf(page);
  if (leaf === 0) return touchHuge(mm, page, write);
  const entries = pageTable.chunkOf(leaf);
  const at = pageTable.baseOf(leaf) + (page & TABLE_MASK);
  const needed = write ? PTE_PRESENT | PTE_WRITE : PTE_PRESENT;
  const marks = write ? stored : PTE_YOUNG;
  let word = loadEntry(entries, at);
  while ((word & (needed | PTE_NO_ACCESS)) === needed) {
    if ((word & marks) === marks) return word >>> PTE_FRAME_SHIFT;
    const found = compareExchangeWord(entries, at, word, word | marks);
    if (found === word) return word >>> PTE_FRAME_SHIFT;
    word = found;
  }
  return -1;
}

/** The same for a page under a huge entry, of which the young and dirty bits are those of all its pages. */
function touchHuge({ pageTable }: AddressSpace, page: number, write: boolean): number {
  const word = pageTable.huge(page);
  const needed = write ? PTE_PRESENT | PTE_WRITE : PTE_PRESENT;
  if ((word & (needed | PTE_NO_ACCESS)) !== needed) return -1;
  pageTable.replaceHuge(page, word | (write ? PTE_YOUNG | PTE_DIRTY : PTE_YOUNG));
  return pageTable.read(page) >>> PTE_FRAME_SHIFT;
}

async function fault(mm: AddressSpace, address: number, page: number, write: boolean): Promise<void> {
  const code = await faultIn(mm, page, write ? FAULT_WRITE : 0);
  if (code === FAULT_DONE) return;
  const access = `${write ? "store to" : "load from"} address ${address}`;
  if (code === FAULT_OOM) throw new MemoryError("ENOMEM", `no memory for the page of a ${access}`);
  if (code === FAULT_HWPOISON) throw new AccessFault("SIGBUS", `${access}, whose contents are lost with a device`);
  if (code === FAULT_SIGBUS) throw new AccessFault("SIGBUS", `${access}, which has no memory behind it`);
  throw new AccessFault("SIGSEGV", `${access}, which the mapping does not allow`);
}

function pageOf(mm: AddressSpace, address: number): number {
  const { pageSize } = mm.machine;
  if (!Number.isSafeInteger(address) || address < 0 || address % 4 !== 0) {
    throw new MemoryError("EINVAL", `address ${address} is not a multiple of 4`);
  }
  const page = Math.floor(address / pageSize);
  if (page >= ADDRESS_SPACE_PAGES) {
    throw new AccessFault(
      "SIGSEGV",
      `address ${address} is beyond the ${ADDRESS_SPACE_PAGES} pages of an address space`,
    );
  }
  return page;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
