/**
 * A replay: the recorder's machine rebuilt over the engine, its devices, and its processes by slot. What
 * cannot be replayed throws CannotReplay, which is a difference, not a failure.
 */

import {
  type AddressSpace,
  createPageCache,
  exitAddressSpace,
  Machine,
  madvise,
  type MapOptions,
  MemorySwapStore,
  mmap,
  type PageCache,
  swapOn,
} from "../../mm/index.js";
import { TABLE_WORDS } from "../../mm/table/page-table.js";
import { RecordedDevice } from "./recorded-device.js";
import { RecordedProcess } from "./recorded-process.js";
import { type Header, PROCESS_SLOTS } from "./trace-format.js";

/** Where the mapping under test begins: aligned to what one leaf table maps, 2 MiB at 4 KiB pages. */
const FIRST_PAGE = 1000 * TABLE_WORDS;

/** The word of page 0 of the file under test. */
const FILE_VALUE = 900_000;

/** The recorder's swap space was never full. */
const SWAP_SLOTS = 1 << 16;

/** Chunks of device memory hold at most so many page frames: a machine has room for a few dozen of them. */
const MAX_CHUNK_FRAMES = 4096;

export class CannotReplay extends Error {
  override readonly name = "CannotReplay";
}

export class Replay {
  readonly firstPage = FIRST_PAGE;
  readonly devices: readonly RecordedDevice[];
  readonly processes: (RecordedProcess | null)[] = Array.from({ length: PROCESS_SLOTS }, () => null);

  #mapped: PageCache | null = null;

  private constructor(
    readonly header: Header,
    readonly machine: Machine,
  ) {
    const chunkFrames = Math.min(2 * header.pages, MAX_CHUNK_FRAMES);
    this.devices = header.devices.map((kind) => new RecordedDevice(machine, kind, chunkFrames));
  }

  /** The machine as it was before the first operation: process 0 with its mapping. */
  static async begin(header: Header, shared = false): Promise<Replay> {
    const machine = new Machine({ pageSize: header.pageSize, shared });
    swapOn(machine, new MemorySwapStore(SWAP_SLOTS));
    const replay = new Replay(header, machine);
    const process = replay.addProcess(0, replay.machine.createAddressSpace());
    await replay.map(process, 0, header.pages, 3);
    return replay;
  }

  addProcess(slot: number, mm: AddressSpace): RecordedProcess {
    const process = new RecordedProcess(slot, mm, this.devices, this.firstPage, this.header.pages);
    this.processes[slot] = process;
    return process;
  }

  /** The process in the slot. */
  process(slot: number): RecordedProcess {
    const process = this.processes[slot];
    if (process === null) throw new CannotReplay(`process ${slot} does not live`);
    return process;
  }

  /** Maps pages of the kind of mapping under test, which the recorder then advises about huge pages. */
  async map({ mm }: RecordedProcess, i: number, n: number, protection: number): Promise<void> {
    const address = this.address(i);
    const length = n * this.header.pageSize;
    const object = this.#objectFor(i, n);
    await mmap(mm, { address, length, protection, ...object });
    // Shared memory goes with its last mapping.
    if (object.shared === true) object.file?.release();
    await madvise(mm, address, length, this.header.huge ? "hugepage" : "nohugepage");
  }

  /** The recorder has ended: its processes are gone, and nobody holds the file under test any more. */
  async end(): Promise<void> {
    for (const process of this.processes) {
      if (process === null) continue;
      await exitAddressSpace(process.mm);
      process.dropAllPins(this.machine);
    }
    this.processes.fill(null);
    this.#mapped?.release();
    this.#mapped = null;
  }

  /** What a mapping of pages `[i, i + n)` maps. */
  #objectFor(i: number, n: number): Pick<MapOptions, "file" | "offset" | "shared"> {
    switch (this.header.mapping) {
      case "anon-private":
        return {};
      case "file-private":
        return { file: this.#file(), offset: i * this.header.pageSize };
      case "anon-shared":
        return { file: createPageCache(this.machine, n), shared: true };
      default:
        return this.header.mapping satisfies never;
    }
  }

  /** The file under test, wholly cached; page i holds a number of its own, first and last. */
  #file(): PageCache {
    if (this.#mapped !== null) return this.#mapped;
    const { pageSize, pages } = this.header;
    const file = createPageCache(this.machine, pages);
    const words = new DataView(new ArrayBuffer(pageSize));
    for (let i = 0; i < pages; i++) {
      words.setUint32(0, FILE_VALUE + i, true);
      words.setUint32(pageSize - 4, FILE_VALUE + i, true);
      file.write(i, new Uint8Array(words.buffer));
    }
    this.#mapped = file;
    return file;
  }

  /** The address of page `i` of the mapping under test. */
  address(i: number): number {
    return (this.firstPage + i) * this.header.pageSize;
  }
}
