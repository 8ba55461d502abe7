/**
 * Pages of a process, and what the CPU and the devices do with them. Page i of a region that is filled from `base` holds
 * the number `base + i`, first and last. Each call is a step: the invariants are checked after it.
 */

import assert from "node:assert/strict";
import { AccessFault, loadWord, storeWord } from "../../src/access/cpu.js";
import { errnoOf } from "../../src/cli/conform/errno.js";
import {
  type Client,
  deviceRead,
  deviceWrite,
  makeExclusive,
  migrateToDevice,
  migrateToSystem,
} from "../../src/cli/conform/recording-driver.js";
import type { Results } from "../../src/cli/conform/trace-format.js";
import { MemoryError, mprotect, mremap, munmap } from "../../src/mm/index.js";
import { PAGE } from "../builders.js";
import { viewOf } from "./device-view.js";
import type { Process } from "./process.js";

/** Values that one read of a device reports at most. */
const MOST_VALUES = 64;

export class Region {
  constructor(
    readonly process: Process,
    /** Page number of the first. */
    readonly first: number,
    readonly pages: number,
  ) {}

  get end(): number {
    return this.first + this.pages;
  }

  /** Pages `[i, i + pages)` of the region. */
  part(i: number, pages = 1): Region {
    return new Region(this.process, this.first + i, pages);
  }

  /** The same addresses in another process. */
  in(process: Process): Region {
    return new Region(process, this.first, this.pages);
  }

  /** The CPU writes every page. */
  async fill(base: number): Promise<void> {
    for (let i = 0; i < this.pages; i++) {
      await storeWord(this.process.mm, this.#address(i), base + i);
      await storeWord(this.process.mm, this.#address(i + 1) - 4, base + i);
    }
    this.#check();
  }

  /** The CPU reads every page: its first and its last word are the same. */
  async values(): Promise<number[]> {
    const values: number[] = [];
    for (let i = 0; i < this.pages; i++) {
      const value = await loadWord(this.process.mm, this.#address(i));
      assert.equal(await loadWord(this.process.mm, this.#address(i + 1) - 4), value);
      values.push(value);
    }
    this.#check();
    return values;
  }

  /** The CPU finds the region filled from `base`. */
  async holds(base: number): Promise<void> {
    assert.deepEqual(await this.values(), numbers(base, this.pages));
  }

  /** The CPU finds nothing in it. */
  async isZero(): Promise<void> {
    assert.deepEqual(new Set(await this.values()), new Set([0]));
  }

  /** The CPU adds 1 to every page's number. */
  async increment(): Promise<void> {
    const [base] = await this.values();
    await this.fill(base + 1);
  }

  /** The signal that an access of the CPU to the first page gets. */
  async signal(write: boolean): Promise<string> {
    const access = write
      ? storeWord(this.process.mm, this.#address(0), 0)
      : loadWord(this.process.mm, this.#address(0));
    const error: unknown = await access.then(
      () => assert.fail("the access is allowed"),
      (thrown: unknown) => thrown,
    );
    assert.ok(error instanceof AccessFault);
    this.#check();
    return error.signal;
  }

  toDevice(device = 0): Promise<Results> {
    return this.#step(device, (client) => migrateToDevice(client, this.first, this.end));
  }

  toSystem(device = 0): Promise<Results> {
    return this.#step(device, (client) => migrateToSystem(client, this.first, this.end));
  }

  /** The device has the pages for itself. */
  exclusive(device = 0): Promise<Results> {
    return this.#step(device, (client) => makeExclusive(client, this.first, this.end));
  }

  deviceWrite(base: number, device = 0): Promise<Results> {
    return this.#step(device, (client) => deviceWrite(client, this.first, this.end, base));
  }

  /** The device reads every page, faulting what is missing. */
  async deviceRead(device = 0): Promise<Results> {
    const { values: _, ...results } = await this.#step(device, (client) => deviceRead(client, this.first, this.end));
    return results;
  }

  /** The device finds the region filled from `base`, without any fault. */
  async deviceHolds(base: number, device = 0): Promise<void> {
    assert.deepEqual(await this.#deviceValues(device), numbers(base, this.pages));
  }

  /** The device finds nothing in it, without any fault. */
  async deviceIsZero(device = 0): Promise<void> {
    assert.deepEqual(new Set(await this.#deviceValues(device)), new Set([0]));
  }

  async #deviceValues(device: number): Promise<number[]> {
    const all: number[] = [];
    for (let i = 0; i < this.pages; i += MOST_VALUES) {
      const part = this.part(i, Math.min(MOST_VALUES, this.pages - i));
      const { values = [], ...results } = await this.#step(device, (client) =>
        deviceRead(client, part.first, part.end),
      );
      assert.deepEqual(results, done(part.pages, 0));
      all.push(...values);
    }
    return all;
  }

  /** How many of the pages the device reaches without a fault. */
  reachedBy(device: number): number {
    const { table } = this.process.clients[device];
    return numbers(this.first, this.pages).filter((page) => table.frame(page, false) >= 0).length;
  }

  /** What the device sees of each page when it only looks. */
  seenBy(device = 0): string[] {
    return viewOf(this.process.clients[device], this.first, this.end);
  }

  async protect(protection: number): Promise<void> {
    await mprotect(this.process.mm, this.#address(0), this.pages * PAGE, protection);
    this.#check();
  }

  async unmap(): Promise<void> {
    await munmap(this.process.mm, this.#address(0), this.pages * PAGE);
    this.#check();
  }

  /** Moves it to the addresses of another region, which goes. */
  async moveTo(place: Region): Promise<Region> {
    await mremap(this.process.mm, this.#address(0), this.pages * PAGE, place.first * PAGE);
    this.#check();
    return place;
  }

  async #step(device: number, act: (client: Client) => Promise<Results>): Promise<Results> {
    try {
      return await act(this.process.clients[device]);
    } catch (error) {
      if (error instanceof MemoryError) return { rc: -errnoOf(error.code) };
      throw error;
    } finally {
      this.#check();
    }
  }

  #check(): void {
    this.process.stage.check();
  }

  #address(i: number): number {
    return (this.first + i) * PAGE;
  }
}

/** What a step answers that did all of its pages. */
export function done(cpages: number, faults?: number): Results {
  return faults === undefined ? { rc: 0, cpages } : { rc: 0, cpages, faults };
}

function numbers(base: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => base + i);
}
