/**
 * Processes over a range of a few blocks, two devices and swap, and the truth about each page: the word that stands first in
 * it. One operation at a time; `check` compares every page with the truth, and the machine with its invariants.
 */

import assert from "node:assert/strict";
import { AccessFault, loadWord, storeWord } from "../../../src/access/cpu.js";
import type { AddressSpace } from "../../../src/mm/space/address-space.js";
import { makeDeviceExclusiveRange } from "../../../src/mm/fault/device-exclusive.js";
import {
  isDevicePrivateEntry,
  isSwapEntry,
  PTE_FRAME_SHIFT,
  PTE_PRESENT,
  PTE_WRITE,
} from "../../../src/mm/table/entry.js";
import { MemoryError } from "../../../src/mm/errors.js";
import { forkAddressSpace } from "../../../src/mm/copy/fork.js";
import { DMA_PIN, pinPage, SHORT_REFERENCE } from "../../../src/mm/fault/gup.js";
import type { Machine } from "../../../src/mm/machine.js";
import { dontNeed, exitAddressSpace, madvise, mmap, mprotect, munmap } from "../../../src/mm/space/mapping.js";
import { pageOut } from "../../../src/mm/swap/pageout.js";
import { clearSoftDirty } from "../../../src/mm/space/soft-dirty.js";
import { PROT_READ, PROT_WRITE } from "../../../src/mm/space/vma.js";
import { createMachine, PAGE, TestSwapStore } from "../../builders.js";
import { checkInvariants } from "../../invariants.js";
import { BLOCK } from "../../mm/huge/huge-space.js";
import { TestDevice } from "../../test-device.js";
import { BLOCKS } from "./actions.js";

/** The first page of the range. */
const FIRST = 10 * BLOCK;
const PAGES = BLOCKS * BLOCK;
const MOST_PROCESSES = 3;
/** Pages of one exclusive access. */
const MOST_EXCLUSIVE = 64;

interface Page {
  value: number;
  writable: boolean;
}

interface Process {
  readonly mm: AddressSpace;
  /** By page of the range; one that is not mapped is missing. */
  readonly pages: Map<number, Page>;
}

interface Pin {
  readonly process: Process;
  readonly page: number;
  readonly frame: number;
  readonly references: number;
  readonly write: boolean;
  /** The page was given up: the frame is the pin's alone. */
  orphaned: boolean;
}

export class World {
  readonly machine: Machine;
  readonly devices: readonly TestDevice[];
  readonly pins: Pin[] = [];
  /** Blocks seen with a huge entry, and compound pages seen mapped part by part, both summed over steps. */
  hugeEntries = 0;
  parts = 0;
  moved = 0;
  readonly #swap = new TestSwapStore(2 * PAGES);
  readonly #processes: Process[] = [];
  #lastValue = 0;

  constructor() {
    this.machine = createMachine({ swap: this.#swap }).machine;
    this.devices = [new TestDevice(this.machine, "private", BLOCK), new TestDevice(this.machine, "coherent", BLOCK)];
    this.#processes.push({ mm: this.machine.createAddressSpace(), pages: new Map() });
  }

  process(which: number): Process {
    return this.#processes[which % this.#processes.length];
  }

  device(which: number): TestDevice {
    return this.devices[which % this.devices.length];
  }

  async map({ mm, pages }: Process, from: number, to: number, huge: boolean): Promise<void> {
    await mmap(mm, { address: (FIRST + from) * PAGE, length: (to - from) * PAGE });
    await madvise(mm, (FIRST + from) * PAGE, (to - from) * PAGE, huge ? "hugepage" : "nohugepage");
    this.#givenUp(mm, from, to);
    for (let page = from; page < to; page++) pages.set(page, { value: 0, writable: true });
  }

  async unmap({ mm, pages }: Process, from: number, to: number): Promise<void> {
    await munmap(mm, (FIRST + from) * PAGE, (to - from) * PAGE);
    this.#givenUp(mm, from, to);
    for (let page = from; page < to; page++) pages.delete(page);
  }

  async giveUp({ mm, pages }: Process, from: number, to: number): Promise<void> {
    await withHoles(dontNeed(mm, (FIRST + from) * PAGE, (to - from) * PAGE));
    this.#givenUp(mm, from, to);
    for (let page = from; page < to; page++) {
      const known = pages.get(page);
      if (known !== undefined) known.value = 0;
    }
  }

  async protect({ mm, pages }: Process, from: number, to: number, writable: boolean): Promise<void> {
    const protection = writable ? PROT_READ | PROT_WRITE : PROT_READ;
    await withHoles(mprotect(mm, (FIRST + from) * PAGE, (to - from) * PAGE, protection));
    for (let page = from; page < to; page++) {
      const known = pages.get(page);
      if (known === undefined) break;
      known.writable = writable;
    }
  }

  async store({ mm, pages }: Process, page: number): Promise<void> {
    const known = pages.get(page);
    const value = ++this.#lastValue;
    const stored = storeWord(mm, (FIRST + page) * PAGE, value);
    if (known?.writable !== true) return assert.rejects(stored, AccessFault);
    await stored;
    known.value = value;
  }

  async load({ mm, pages }: Process, page: number): Promise<void> {
    const loaded = loadWord(mm, (FIRST + page) * PAGE);
    const known = pages.get(page);
    if (known === undefined) return assert.rejects(loaded, AccessFault);
    assert.equal(await loaded, known.value);
  }

  /** A kernel's store to a page that is private to the device and writable. */
  storeOnDevice({ mm, pages }: Process, page: number): void {
    const word = mm.pageTable.read(FIRST + page);
    const known = pages.get(page);
    if (known === undefined || !isDevicePrivateEntry(word) || (word & PTE_WRITE) === 0) return;
    known.value = ++this.#lastValue;
    const bytes = this.devices[0].bytesOf(word >>> PTE_FRAME_SHIFT);
    this.machine.host.retained.wrote(word >>> PTE_FRAME_SHIFT);
    setWord(bytes, known.value);
  }

  async toDevice({ mm }: Process, device: TestDevice, from: number, to: number): Promise<void> {
    const [start, count] = withinVma(mm, from, to);
    if (count > 0) this.moved += (await device.migrateToDevice(mm, start, count)).filter(Boolean).length;
  }

  async toHost({ mm }: Process, device: TestDevice, from: number, to: number): Promise<void> {
    const [start, count] = withinVma(mm, from, to);
    if (count > 0) await device.migrateToHost(mm, start, count);
  }

  async exclusive({ mm }: Process, from: number, to: number): Promise<void> {
    const frames = new Int32Array(Math.min(to - from, MOST_EXCLUSIVE));
    await makeDeviceExclusiveRange(mm, FIRST + from, frames, null);
    for (const frame of frames) {
      if (frame < 0) continue;
      this.machine.pageLocks.unlock(frame);
      this.machine.put(frame);
    }
  }

  async pageOut({ mm }: Process, from: number, to: number): Promise<void> {
    await withHoles(pageOut(mm, (FIRST + from) * PAGE, (to - from) * PAGE));
  }

  async clearSoftDirty({ mm }: Process): Promise<void> {
    await clearSoftDirty(mm);
  }

  async pin(process: Process, page: number, write: boolean, long: boolean): Promise<void> {
    const references = long ? DMA_PIN : SHORT_REFERENCE;
    const known = process.pages.get(page);
    const frame = await pinPage(process.mm, FIRST + page, write, references);
    assert.equal(frame >= 0, known !== undefined && (!write || known.writable), `a pin of page ${page}`);
    if (frame >= 0) this.pins.push({ process, page, frame, references, write, orphaned: false });
  }

  /** Whoever pinned a page for DMA and for writing goes on seeing the process's page, and the process its stores. */
  storeThroughPin(which: number): void {
    const lasting = this.pins.filter(({ write, references, orphaned }) => write && references === DMA_PIN && !orphaned);
    if (lasting.length === 0) return;
    const { process, page, frame } = lasting[which % lasting.length];
    const known = process.pages.get(page);
    assert.ok(known !== undefined);
    known.value = ++this.#lastValue;
    setWord(this.machine.zones.bytes(frame), known.value);
  }

  release(which: number): void {
    if (this.pins.length === 0) return;
    const [{ frame, references }] = this.pins.splice(which % this.pins.length, 1);
    this.machine.put(frame, references);
  }

  async fork(parent: Process): Promise<void> {
    if (this.#processes.length === MOST_PROCESSES) return;
    const mm = await forkAddressSpace(parent.mm);
    const pages = new Map([...parent.pages].map(([page, known]) => [page, { ...known }]));
    this.#processes.push({ mm, pages });
  }

  async exit(process: Process): Promise<void> {
    if (this.#processes.length === 1) return;
    this.#processes.splice(this.#processes.indexOf(process), 1);
    await exitAddressSpace(process.mm);
    this.#givenUp(process.mm, 0, PAGES);
  }

  check(): void {
    for (const { mm, pages } of this.#processes) {
      for (const [page, { value }] of pages) {
        const found = this.#value(mm.pageTable.read(FIRST + page));
        assert.equal(found, value, `page ${page} of address space ${mm.id}`);
      }
      for (let page = FIRST; page < FIRST + PAGES; page += BLOCK) {
        if (mm.pageTable.huge(page) !== 0) this.hugeEntries++;
        else if (this.machine.frames.isCompound(mm.pageTable.read(page) >>> PTE_FRAME_SHIFT)) this.parts++;
      }
    }
    for (const { process, page, frame, references, write, orphaned } of this.pins) {
      if (orphaned || references !== DMA_PIN || !write) continue;
      const word = process.mm.pageTable.read(FIRST + page);
      assert.equal(word >>> PTE_FRAME_SHIFT, frame, `page ${page} is pinned for DMA and has moved`);
    }
    checkInvariants(this.machine, { references: this.pins.map(({ frame, references }) => [frame, references]) });
  }

  /** Lets go of everything, and finds nothing left. */
  async tearDown(): Promise<void> {
    while (this.pins.length > 0) this.release(0);
    while (this.#processes.length > 1) await this.exit(this.#processes[0]);
    await exitAddressSpace(this.#processes[0].mm);
    const { machine } = this;
    machine.lru.drain();
    checkInvariants(machine);
    const left = { host: machine.host.charge.usage, tables: machine.tables.used, swap: machine.swap?.used };
    assert.deepEqual(left, { host: 0, tables: 0, swap: 0 });
    for (const device of this.devices) assert.equal(device.freeFrames, BLOCK);
  }

  #value(word: number): number {
    const frame = word >>> PTE_FRAME_SHIFT;
    if (word === 0) return 0;
    if (isSwapEntry(word)) {
      const cached = this.machine.swap?.cached(frame) ?? 0;
      const bytes = cached === 0 ? this.#swap.pages.get(frame) : this.machine.zones.bytes(cached);
      assert.ok(bytes !== undefined, `swap slot ${frame} holds nothing`);
      return wordOf(bytes);
    }
    // A device may have the page for itself, but it is in host or coherent memory then.
    const { devices, machine } = this;
    const present = (word & PTE_PRESENT) !== 0;
    return wordOf(!present && devices[0].holds(frame) ? devices[0].bytesOf(frame) : machine.zones.bytes(frame));
  }

  #givenUp(mm: AddressSpace, from: number, to: number): void {
    for (const pin of this.pins) {
      if (pin.process.mm === mm && pin.page >= from && pin.page < to) pin.orphaned = true;
    }
  }
}

/** The pages of the range that lie in the VMA of the first: where they begin, and how many. */
function withinVma(mm: AddressSpace, from: number, to: number): [start: number, count: number] {
  const vma = mm.vmaAt(FIRST + from);
  return vma === undefined ? [0, 0] : [FIRST + from, Math.min(FIRST + to, vma.end) - FIRST - from];
}

/** ENOMEM says that there are holes, after acting on what is mapped. */
async function withHoles(act: Promise<void>): Promise<void> {
  try {
    await act;
  } catch (error) {
    if (!(error instanceof MemoryError) || error.code !== "ENOMEM") throw error;
  }
}

function wordOf(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
}

function setWord(bytes: Uint8Array, value: number): void {
  new DataView(bytes.buffer, bytes.byteOffset).setUint32(0, value, true);
}
