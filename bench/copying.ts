/**
 * Migration with its copies, through the software device: the bytes of 256 MiB go to the device, are changed there, and
 * come back, over memcpy of the same chunks between the same kinds of buffer. Pages are at home on the host; device
 * frames are handed out in order, so that a driver can copy a batch at once, or in a random order, page by page.
 */

import { AttachedDevice } from "../src/device/attached-device.js";
import { migrateToDevice, type Placement } from "../src/device/migrate-to-device.js";
import { migrateToHost } from "../src/device/migrate-to-host.js";
import { mirrorDevice } from "../src/device/mirror/index.js";
import { accessHost } from "../src/access/index.js";
import { type AddressSpace, Machine, mmap } from "../src/mm/index.js";
import { processorTime } from "./clock.js";
import type { Figure } from "./figure.js";
import { ascending, randomNumbers, SEED, shuffle } from "./permutation.js";
import { expect, type Scenario } from "./scenario.js";

const PAGE_SIZE = 65_536;
const BYTES = 256 << 20;

/** Pages of a mapping that go to a device and back, and buffers beside them between which memcpy does the same. */
class CopyingMachine {
  readonly #attached: AttachedDevice;
  readonly #mm: AddressSpace;
  readonly #start: number;
  readonly #pages: number;
  /** Device frame of each page, counted from the device's first. */
  readonly #places: Int32Array;
  readonly #host: Uint8Array;
  readonly #device: Uint8Array;
  /** Pages that one memcpy takes: as many as the driver copies at once. */
  readonly #chunk: number;
  /** What every page holds beside its own number: how often the device has changed it. */
  #changes = 0;

  private constructor(
    attached: AttachedDevice,
    mm: AddressSpace,
    start: number,
    places: Int32Array,
    chunk: number,
    beside: readonly [host: Uint8Array, device: Uint8Array],
  ) {
    this.#attached = attached;
    this.#mm = mm;
    this.#start = start;
    this.#pages = places.length;
    this.#places = places;
    this.#chunk = chunk;
    [this.#host, this.#device] = beside;
  }

  static async create(bytes: number, random: (() => number) | null): Promise<CopyingMachine> {
    const pages = bytes / PAGE_SIZE;
    const machine = new Machine({ pageSize: PAGE_SIZE });
    const attached = await AttachedDevice.attach(machine, mirrorDevice({ budget: bytes }));
    const mm = machine.createAddressSpace();
    const address = await mmap(mm, { length: bytes, home: machine.host.reserveHome(pages) });
    const places = ascending(pages);
    if (random !== null) shuffle(places, random);
    const chunk = random === null ? 512 : 1;
    const made = new CopyingMachine(attached, mm, address / PAGE_SIZE, places, chunk, await twoBuffers(bytes));
    await made.#fill();
    return made;
  }

  /** Milliseconds for all pages. */
  async upload(): Promise<number> {
    const placement: Placement = (page) => this.#attached.allocateAt(this.#places[page - this.#start]);
    const began = processorTime();
    const moved = await migrateToDevice(this.#attached, this.#mm, this.#start, this.#end, "prefetch", placement);
    const took = processorTime() - began;
    expect(moved === this.#pages, `${moved} of ${this.#pages} pages migrated to the device`);
    return took;
  }

  /** The device writes every page, so that none can be dropped; not timed. */
  change(): void {
    const { device, machine, zone } = this.#attached;
    for (let i = 0; i < this.#pages; i++) {
      const frame = this.#places[i];
      machine.host.retained.wrote(zone.first + frame);
      const words = wordsOf(device.run(frame, 1)!);
      expect(words[0] === i && words[words.length - 1] === this.#changes, `page ${i} has other bytes on the device`);
      words[words.length - 1] = this.#changes + 1;
    }
    this.#changes++;
  }

  async download(): Promise<number> {
    const began = processorTime();
    const moved = await migrateToHost(this.#attached, this.#mm, this.#start, this.#end, "prefetch");
    const took = processorTime() - began;
    expect(moved === this.#pages, `${moved} of ${this.#pages} pages migrated to the host`);
    return took;
  }

  /** Every byte of every page is the right one, and all pages together are one run of memory: they are at home. */
  async check(): Promise<void> {
    let at = this.#start;
    await accessHost(this.#attached, this.#mm, this.#start, this.#end, false, (bytes, page, count) => {
      expect(page === at, `the run at page ${page} does not begin where the last one ended`);
      at += count;
      for (let i = 0; i < count; i++) this.#checkPage(wordsOf(bytes, i * PAGE_SIZE), page - this.#start + i);
    });
    const { toDevice, toHost } = this.#attached.counters;
    expect(
      toDevice.prefetch.bytes === toHost.prefetch.bytes && this.#attached.counters.droppedClean.pages === 0,
      `${toDevice.prefetch.bytes} bytes went to the device and ${toHost.prefetch.bytes} came back`,
    );
  }

  /** memcpy of the same chunks, there and back, in milliseconds. */
  copyToDevice(): number {
    const began = processorTime();
    for (let i = 0; i < this.#pages; i += this.#chunk) {
      const at = i * PAGE_SIZE;
      this.#device.set(this.#host.subarray(at, at + this.#chunk * PAGE_SIZE), this.#places[i] * PAGE_SIZE);
    }
    return processorTime() - began;
  }

  copyToHost(): number {
    const began = processorTime();
    for (let i = 0; i < this.#pages; i += this.#chunk) {
      const at = this.#places[i] * PAGE_SIZE;
      this.#host.set(this.#device.subarray(at, at + this.#chunk * PAGE_SIZE), i * PAGE_SIZE);
    }
    return processorTime() - began;
  }

  get #end(): number {
    return this.#start + this.#pages;
  }

  async #fill(): Promise<void> {
    await accessHost(this.#attached, this.#mm, this.#start, this.#end, true, (bytes, page, count) => {
      for (let i = 0; i < count; i++) {
        const words = wordsOf(bytes, i * PAGE_SIZE);
        for (let j = 0; j < words.length; j++) words[j] = wordAt(page - this.#start + i, j);
        words[words.length - 1] = 0;
      }
    });
  }

  #checkPage(words: Int32Array, page: number): void {
    for (let j = 0; j < words.length - 1; j++) {
      if (words[j] !== wordAt(page, j))
        expect(false, `word ${j} of page ${page} is ${words[j]}, not ${wordAt(page, j)}`);
    }
    expect(words[words.length - 1] === this.#changes, `what the device wrote to page ${page} did not come back`);
  }
}

/** Memory like that of the pages, of nobody: reserved frames of another machine, and the memory of its device. */
async function twoBuffers(bytes: number): Promise<[host: Uint8Array, device: Uint8Array]> {
  const machine = new Machine({ pageSize: PAGE_SIZE });
  const { device } = await AttachedDevice.attach(machine, mirrorDevice({ budget: bytes }));
  const pages = bytes / PAGE_SIZE;
  return [machine.zones.run(machine.host.reserveHome(pages).first, pages).fill(1), device.run(0, pages)!.fill(2)];
}

/** The first word of a page is its number. */
function wordAt(page: number, word: number): number {
  return page + Math.imul(word, 0x9e3779b1);
}

function wordsOf(bytes: Uint8Array, offset = 0): Int32Array {
  return new Int32Array(bytes.buffer, bytes.byteOffset + offset, PAGE_SIZE / 4);
}

function scenario(order: string, random: (() => number) | null, least: number): Scenario {
  return {
    name: `copying, device frames ${order}`,
    async run({ smoke }) {
      const bytes = smoke ? 16 << 20 : BYTES;
      const machine = await CopyingMachine.create(bytes, random);
      const speeds: Record<"up" | "down" | "copyUp" | "copyDown", number[]> = {
        up: [],
        down: [],
        copyUp: [],
        copyDown: [],
      };
      const speed = (milliseconds: number): number => bytes / (milliseconds * 1e6);
      for (let round = smoke ? 0 : -1; round < (smoke ? 1 : 15); round++) {
        const copyUp = speed(machine.copyToDevice());
        const up = speed(await machine.upload());
        machine.change();
        const copyDown = speed(machine.copyToHost());
        const down = speed(await machine.download());
        await machine.check();
        if (round < 0) continue;
        speeds.up.push(up);
        speeds.copyUp.push(copyUp);
        speeds.down.push(down);
        speeds.copyDown.push(copyDown);
      }
      const figure = (direction: string, samples: readonly number[], copies: readonly number[]): Figure => ({
        row: `migration with copying, frames ${order}, ${direction}`,
        unit: "GB/s",
        pageSize: PAGE_SIZE,
        samples,
        baseline: { name: "memcpy", samples: copies },
        bounds: [{ of: "ratio", least }],
      });
      return [figure("to device", speeds.up, speeds.copyUp), figure("to host", speeds.down, speeds.copyDown)];
    },
  };
}

export const copyingInOrder = scenario("contiguous", null, 0.9);
export const copyingScrambled = scenario("scrambled", randomNumbers(SEED), 0.8);
