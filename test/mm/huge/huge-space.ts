// A mapping that asks for huge pages, and what can be seen of it.

import type { AddressSpace } from "../../../src/mm/space/address-space.js";
import { loadWord, storeWord } from "../../../src/access/cpu.js";
import { PTE_EXCLUSIVE, PTE_FRAME_SHIFT, PTE_PRESENT, PTE_WRITE } from "../../../src/mm/table/entry.js";
import { madvise } from "../../../src/mm/space/mapping.js";
import type { Machine } from "../../../src/mm/machine.js";
import { TABLE_WORDS } from "../../../src/mm/table/page-table.js";
import { createMachine, type MachineSetup, mapPages, PAGE } from "../../builders.js";
import type { TestEnvironment } from "../../environments.js";

/** Pages that one huge entry maps. */
export const BLOCK = TABLE_WORDS;

export interface HugeSpace {
  readonly machine: Machine;
  readonly mm: AddressSpace;
  /** The first page: of a block. */
  readonly page: number;
}

/** A process with `blocks` blocks of memory that asks for huge pages. */
export async function createHugeSpace(
  blocks = 1,
  setup: MachineSetup<TestEnvironment> & { home?: boolean } = {},
): Promise<HugeSpace> {
  const { machine } = createMachine(setup);
  const mm = machine.createAddressSpace();
  const page = await mapPages(mm, blocks * BLOCK, { home: setup.home ?? false });
  await adviseHuge(mm, page, blocks * BLOCK);
  return { machine, mm, page };
}

export async function adviseHuge(mm: AddressSpace, page: number, pages: number): Promise<void> {
  await madvise(mm, page * PAGE, pages * PAGE, "hugepage");
}

/** A store by the CPU of one word. */
export async function put(mm: AddressSpace, page: number, value: number): Promise<void> {
  await storeWord(mm, page * PAGE, value);
}

/** A load by the CPU of the same word. */
export async function get(mm: AddressSpace, page: number): Promise<number> {
  return loadWord(mm, page * PAGE);
}

/** What maps the page's block: nothing, one entry, or a table. */
export function mappedBy(mm: AddressSpace, page: number): "nothing" | "huge entry" | "table" {
  if (mm.pageTable.leaf(page) !== 0) return "table";
  return mm.pageTable.huge(page) === 0 ? "nothing" : "huge entry";
}

/** The page's permission and owner, as letters: r or w, x for exclusive. */
export function permission(mm: AddressSpace, page: number): string {
  const word = mm.pageTable.read(page);
  if ((word & PTE_PRESENT) === 0) return "";
  return ((word & PTE_WRITE) === 0 ? "r" : "w") + ((word & PTE_EXCLUSIVE) === 0 ? "" : "x");
}

export function frameOf(mm: AddressSpace, page: number): number {
  return mm.pageTable.read(page) >>> PTE_FRAME_SHIFT;
}

/** Is the page part of a compound page? */
export function isPart(mm: AddressSpace, page: number): boolean {
  return mm.machine.frames.isCompound(frameOf(mm, page));
}
