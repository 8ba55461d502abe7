/**
 * Builders for tests: a machine of 4 KiB pages, an address space with a mapping, stores and loads of the CPU by page,
 * migrations step by step. Bytes are one value a page, which is enough to tell pages apart.
 */

import assert from "node:assert/strict";
import type { AddressSpace } from "../src/mm/space/address-space.js";
import {
  isMigrationEntry,
  PTE_DIRTY,
  PTE_FRAME_SHIFT,
  PTE_NO_ACCESS,
  PTE_PRESENT,
  PTE_WRITE,
  PTE_YOUNG,
} from "../src/mm/table/entry.js";
import { MemoryError } from "../src/mm/errors.js";
import { FAULT_DONE, FAULT_OOM, FAULT_WRITE, faultIn } from "../src/mm/fault/fault.js";
import { PG_LOCKED } from "../src/mm/frames/frames.js";
import { homeFrameOf } from "../src/mm/host/home-range.js";
import { Machine } from "../src/mm/machine.js";
import { madvise, mmap, type MapOptions } from "../src/mm/space/mapping.js";
import { VM_HUGEPAGE } from "../src/mm/space/vma.js";
import { swapOn } from "../src/mm/stores.js";
import type { SwapStore } from "../src/mm/swap/swap.js";
import { MIGRATE_PFN_MIGRATE, MIGRATE_PFN_VALID, migratePfn } from "../src/migrate/entry.js";
import { MigrateVma } from "../src/migrate/migrate-vma.js";
import { TestEnvironment } from "./environments.js";
import { setting } from "./setting.js";

export const PAGE = 4096;

/** Does this run of the tests open shared machines (`npm test -- --shared`)? */
export const SHARED = setting("PAGEFERRY_TEST_SHARED") === "1";

/** An error of the engine with this code, and a message that names what the pattern asks for. */
export function memoryError(code: string, message: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof MemoryError, `expected a MemoryError, got ${String(error)}`);
    assert.equal(error.name, error.constructor.name);
    assert.equal(error.code, code);
    assert.match(error.message, message);
    assert.doesNotMatch(error.message, /\.$/);
    return true;
  };
}

export interface MachineSetup<E> {
  hostPages?: number;
  environment?: E;
  swap?: SwapStore;
  /** Default: as this run of the tests is. */
  shared?: boolean;
}

export interface Setup<E> {
  readonly machine: Machine;
  readonly environment: E;
}

export function createMachine(): Setup<TestEnvironment>;
export function createMachine<E extends TestEnvironment>(setup: MachineSetup<E>): Setup<E>;
export function createMachine(setup: MachineSetup<TestEnvironment> = {}): Setup<TestEnvironment> {
  const { hostPages = Infinity, environment = new TestEnvironment(), swap, shared = SHARED } = setup;
  const machine = new Machine({ pageSize: PAGE, hostBudget: hostPages * PAGE, environment, shared });
  if (swap !== undefined) swapOn(machine, swap);
  return { machine, environment };
}

/** Maps pages and returns the number of the first. With `home: true` they get home frames. */
export async function mapPages(
  mm: AddressSpace,
  pages: number,
  options: Omit<MapOptions, "length" | "address" | "home"> & { at?: number; home?: boolean } = {},
): Promise<number> {
  const { at, home = false, flags = 0, ...rest } = options;
  const address = await mmap(mm, {
    ...rest,
    flags: flags & ~VM_HUGEPAGE,
    length: pages * PAGE,
    ...(at === undefined ? {} : { address: at * PAGE }),
    ...(home ? { home: mm.machine.host.reserveHome(pages) } : {}),
  });
  if ((flags & VM_HUGEPAGE) !== 0) await madvise(mm, address, pages * PAGE, "hugepage");
  return address / PAGE;
}

/** A store by the CPU that fills the page with a byte, faulting as often as it takes. */
export async function store(mm: AddressSpace, page: number, byte: number): Promise<void> {
  for (;;) {
    const word = mm.pageTable.read(page);
    if ((word & PTE_PRESENT) !== 0 && (word & PTE_WRITE) !== 0 && (word & PTE_NO_ACCESS) === 0) {
      mm.pageTable.exchange(page, word | PTE_YOUNG | PTE_DIRTY);
      mm.machine.zones.bytes(word >>> PTE_FRAME_SHIFT).fill(byte);
      return;
    }
    await access(mm, page, FAULT_WRITE);
  }
}

/** A load by the CPU: the byte that the page is filled with. */
export async function load(mm: AddressSpace, page: number): Promise<number> {
  for (;;) {
    const word = mm.pageTable.read(page);
    if ((word & PTE_PRESENT) !== 0 && (word & PTE_NO_ACCESS) === 0)
      return byteOf(mm.machine.zones.bytes(word >>> PTE_FRAME_SHIFT));
    await access(mm, page, 0);
  }
}

async function access(mm: AddressSpace, page: number, flags: number): Promise<void> {
  const code = await faultIn(mm, page, flags);
  if (code === FAULT_OOM) throw new MemoryError("ENOMEM", `no memory for page ${page}`);
  if (code !== FAULT_DONE) throw new MemoryError("EFAULT", `page ${page} may not be accessed`);
}

/** Pages that are filled with a byte each. */
export function pageBytes(...bytes: number[]): Uint8Array {
  const filled = new Uint8Array(bytes.length * PAGE);
  for (const [i, byte] of bytes.entries()) filled.fill(byte, i * PAGE, (i + 1) * PAGE);
  return filled;
}

/** The byte that fills all of a page. */
export function byteOf(bytes: Uint8Array): number {
  const byte = bytes[0] ?? -1;
  assert.ok(
    bytes.every((other) => other === byte),
    "the page is not filled with one byte",
  );
  return byte;
}

export function word(mm: AddressSpace, page: number): number {
  return mm.pageTable.read(page);
}

export function frameAt(mm: AddressSpace, page: number): number {
  return mm.pageTable.read(page) >>> PTE_FRAME_SHIFT;
}

/** Calls `act` with the mmap lock held for reading. */
export async function reading<T>(mm: AddressSpace, act: () => T | Promise<T>): Promise<T> {
  await mm.mmapLock.read();
  try {
    return await act();
  } finally {
    mm.mmapLock.readUnlock();
  }
}

/** A migration of pages `[page, page + pages)` of one mapping, not begun. */
export function migration(
  mm: AddressSpace,
  page: number,
  pages: number,
  asked: { flags: number; owner?: object; faultPage?: number },
): MigrateVma {
  const args = new MigrateVma(Math.max(pages, 0));
  args.vma = mm.vmaAt(page) ?? null;
  args.start = page * mm.machine.pageSize;
  args.end = (page + pages) * mm.machine.pageSize;
  args.flags = asked.flags;
  args.owner = asked.owner ?? null;
  args.faultPage = asked.faultPage ?? -1;
  return args;
}

/** A host frame as the destination of a migration: locked, with one reference; 0 when there is none. */
export function lockedHostFrame(machine: Machine, home = 0): number {
  const frame = machine.host.allocate(home, false);
  if (frame !== 0) machine.frames.setFlags(frame, PG_LOCKED);
  return frame;
}

/** Gives every page that may migrate, and that exists, a host frame, its home if that is free. */
export function offerHostFrames(args: MigrateVma): void {
  const { vma } = args;
  assert.ok(vma !== null);
  const both = MIGRATE_PFN_VALID | MIGRATE_PFN_MIGRATE;
  for (let i = 0; i < args.npages; i++) {
    if ((args.src[i] & both) !== both) continue;
    const frame = lockedHostFrame(vma.mm.machine, homeFrameOf(vma.home, args.start / PAGE + i));
    if (frame !== 0) args.dst[i] = migratePfn(frame);
  }
}

/** The pages of `[page, page + pages)` at which migration entries stand. */
export function migrationEntries(mm: AddressSpace, page: number, pages: number): number[] {
  return Array.from({ length: pages }, (_, i) => page + i).filter((each) => isMigrationEntry(word(mm, each)));
}

/** A place where whoever passes waits until it is opened. */
export class Gate {
  /** Resolves when somebody has come to wait. */
  readonly reached: Promise<void>;
  readonly #opened: Promise<void>;
  #reach: () => void = () => {};
  #open: () => void = () => {};

  constructor() {
    this.reached = new Promise((resolve) => (this.#reach = resolve));
    this.#opened = new Promise((resolve) => (this.#open = resolve));
  }

  pass(): Promise<void> {
    this.#reach();
    return this.#opened;
  }

  open(): void {
    this.#open();
  }
}

/** Lets everything run that nothing keeps from it. */
export function everybodyWaits(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Swap that can wait, and fails what it is told to fail. The bytes are taken and given only after the wait. */
export class TestSwapStore implements SwapStore {
  readonly slots: number;
  readonly pages = new Map<number, Uint8Array>();
  /** Slots written and read so far, in order. */
  readonly written: number[] = [];
  readonly filled: number[] = [];
  pause: (() => Promise<void>) | null = null;
  failsWrites = false;
  failsReads = false;

  constructor(slots = 64) {
    this.slots = slots;
  }

  async write(slot: number, bytes: Uint8Array): Promise<void> {
    this.written.push(slot);
    await this.pause?.();
    if (this.failsWrites) throw new Error(`slot ${slot} cannot be written`);
    this.pages.set(slot, bytes.slice());
  }

  async read(slot: number, into: Uint8Array): Promise<void> {
    this.filled.push(slot);
    await this.pause?.();
    if (this.failsReads) throw new Error(`slot ${slot} cannot be read`);
    const bytes = this.pages.get(slot);
    assert.ok(bytes !== undefined, `slot ${slot} is read and was never written`);
    into.set(bytes);
  }

  discard(slot: number): void {
    this.pages.delete(slot);
  }
}
