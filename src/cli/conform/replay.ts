/**
 * A replay: the recorder's machine rebuilt over the engine, its devices, and its processes by slot. What
 * cannot be replayed throws CannotReplay, which is a difference, not a failure.
 */

import { type AddressSpace, Machine, madvise, MemorySwapStore, mmap } from "../../mm/index.js";
import { TABLE_WORDS } from "../../mm/page-table.js";
import { RecordedDevice } from "./recorded-device.js";
import { RecordedProcess } from "./recorded-process.js";
import { type Header, PROCESS_SLOTS } from "./trace-format.js";

/** Where the mapping under test begins: aligned to what one leaf table maps, 2 MiB at 4 KiB pages. */
const FIRST_PAGE = 1000 * TABLE_WORDS;

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

  private constructor(
    readonly header: Header,
    readonly machine: Machine,
  ) {
    const chunkFrames = Math.min(2 * header.pages, MAX_CHUNK_FRAMES);
    this.devices = header.devices.map((kind) => new RecordedDevice(machine, kind, chunkFrames));
  }

  /** The machine as it was before the first operation: process 0 with its mapping. */
  static async begin(header: Header): Promise<Replay> {
    if (header.huge) throw new CannotReplay("huge pages are not modelled yet");
    switch (header.mapping) {
      case "anon-private":
        break;
      case "file-private":
        throw new CannotReplay("a file mapping is not modelled yet");
      case "anon-shared":
        throw new CannotReplay("a shared mapping is not modelled yet");
      default:
        header.mapping satisfies never;
    }
    const replay = new Replay(
      header,
      new Machine({ pageSize: header.pageSize, swap: new MemorySwapStore(SWAP_SLOTS) }),
    );
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
    await mmap(mm, { address, length, protection });
    await madvise(mm, address, length, "nohugepage");
  }

  /** The address of page `i` of the mapping under test. */
  address(i: number): number {
    return (this.firstPage + i) * this.header.pageSize;
  }
}
