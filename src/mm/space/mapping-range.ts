/**
 * Ranges of an address space as the system calls take them: bytes and page-aligned at the interface, page numbers inside.
 */

import type { AddressSpace } from "./address-space.js";
import { MemoryError } from "../errors.js";
import { ADDRESS_SPACE_PAGES } from "../table/page-table.js";
import type { Vma } from "./vma.js";

/** Calls `act` for the part of each VMA in the range; complains about holes afterwards. */
export function forEachPart(
  mm: AddressSpace,
  start: number,
  end: number,
  act: (vma: Vma, from: number, to: number) => void,
): void {
  let page = start;
  let hole = -1;
  while (page < end) {
    const vma = mm.vmas[mm.indexAbove(page)];
    if (vma === undefined || vma.start >= end) {
      if (hole < 0) hole = page;
      break;
    }
    if (vma.start > page && hole < 0) hole = page;
    const from = Math.max(vma.start, page);
    const to = Math.min(vma.end, end);
    act(vma, from, to);
    page = to;
  }
  if (hole >= 0) throw unmapped(mm, hole);
}

/** The pages of a range: EINVAL for bounds that are not page-aligned or for no page, ENOMEM beyond the address space. */
export function rangeOf(mm: AddressSpace, address: number, length: number): { start: number; end: number } {
  const start = pagesOf(mm, address, "address");
  const end = start + pagesOf(mm, length, "length");
  if (end === start) throw new MemoryError("EINVAL", "a range of length 0 has no pages");
  if (end > ADDRESS_SPACE_PAGES) {
    throw new MemoryError("ENOMEM", `page ${end} is beyond the ${ADDRESS_SPACE_PAGES} pages of an address space`);
  }
  return { start, end };
}

export function pagesOf(mm: AddressSpace, bytes: number, what: string): number {
  const { pageSize } = mm.machine;
  if (!Number.isSafeInteger(bytes) || bytes < 0 || bytes % pageSize !== 0) {
    throw new MemoryError("EINVAL", `${what} ${bytes} is not a multiple of the page size ${pageSize}`);
  }
  return bytes / pageSize;
}

export function unmapped(mm: AddressSpace, page: number): MemoryError {
  return new MemoryError("ENOMEM", `address ${page * mm.machine.pageSize} is not mapped`);
}
