/**
 * What each operation of a trace does, and what it answers. One that is missing here is not modelled yet, and counts as
 * a difference by its name.
 */

import { AccessFault, loadWord, storeWord } from "../../access/cpu.js";
import { pinLongTerm } from "../../access/long-term-pin.js";
import {
  clearSoftDirty,
  DMA_PIN,
  dontNeed,
  exitAddressSpace,
  forkAddressSpace,
  MemoryError,
  mprotect,
  munmap,
  pageOut,
  pinPage,
  SHORT_REFERENCE,
} from "../../mm/index.js";
import { evict } from "./batches.js";
import { EFAULT, errnoOf } from "./errno.js";
import type { RecordedProcess } from "./recorded-process.js";
import { deviceRead, deviceWrite, makeExclusive, migrateToDevice, migrateToSystem } from "./recording-driver.js";
import { CannotReplay, type Replay } from "./replay.js";
import type { Operation, OperationName, Results } from "./trace-format.js";

type Perform = (replay: Replay, operation: Operation) => Promise<Results>;

const DONE: Results = { rc: 0 };

const PERFORM: Partial<Record<OperationName, Perform>> = {
  load: async (replay, { p, i }) => {
    const { mm } = replay.process(p);
    const value = await loadWord(mm, replay.address(i));
    const last = await loadWord(mm, replay.address(i + 1) - 4);
    return value === last ? { rc: 0, value } : { rc: 0, value, torn: true };
  },
  store: async (replay, { p, i, v }) => {
    const { mm } = replay.process(p);
    await storeWord(mm, replay.address(i), v);
    await storeWord(mm, replay.address(i + 1) - 4, v);
    return DONE;
  },
  to_dev: (replay, operation) => migrateToDevice(...clientOf(replay, operation)),
  to_sys: (replay, operation) => migrateToSystem(...clientOf(replay, operation)),
  dev_read: (replay, operation) => deviceRead(...clientOf(replay, operation)),
  dev_write: (replay, operation) => deviceWrite(...clientOf(replay, operation), operation.v),
  exclusive: (replay, operation) => makeExclusive(...clientOf(replay, operation)),
  mprotect: async (replay, operation) => {
    await mprotect(...rangeOf(replay, operation), operation.prot);
    return DONE;
  },
  munmap: async (replay, operation) => {
    await munmap(...rangeOf(replay, operation));
    return DONE;
  },
  mmap: async (replay, { p, i, n, prot }) => {
    await replay.map(replay.process(p), i, n, prot);
    return DONE;
  },
  dontneed: async (replay, operation) => {
    await dontNeed(...rangeOf(replay, operation));
    return DONE;
  },
  pin: async (replay, { p, i }) => {
    const process = replay.process(p);
    const frame = await pinPage(process.mm, replay.firstPage + i, false, SHORT_REFERENCE);
    if (frame < 0) return { rc: -EFAULT };
    process.keepPin(i, frame);
    return DONE;
  },
  unpin: async (replay, { p, i }) => {
    replay.process(p).dropPin(replay.machine, i);
    return Promise.resolve(DONE);
  },
  longterm: async (replay, { p, i, n, write }) => {
    const { mm } = replay.process(p);
    const first = replay.firstPage + i;
    let frames: number[];
    try {
      frames = await pinLongTerm(mm, first, first + n, write === 1);
    } catch (error) {
      if (error instanceof MemoryError) return { rc: 0, pinned: 0 };
      throw error;
    }
    for (const frame of frames) replay.machine.put(frame, DMA_PIN);
    return { rc: 0, pinned: frames.length === 0 ? 0 : n };
  },
  pageout: async (replay, operation) => {
    await pageOut(...rangeOf(replay, operation));
    return DONE;
  },
  cleardirty: async (replay, { p }) => {
    await clearSoftDirty(replay.process(p).mm);
    return DONE;
  },
  fork: async (replay, { p, child }) => {
    replay.addProcess(child, await forkAddressSpace(replay.process(p).mm));
    return DONE;
  },
  exit: async (replay, { p }) => {
    const process = replay.process(p);
    replay.processes[p] = null;
    await exitAddressSpace(process.mm);
    process.dropAllPins(replay.machine);
    // Each device file that closes empties its whole device.
    for (const { device } of process.clients) evict(device);
    return DONE;
  },
  release: async (replay, { d }) => {
    evict(replay.devices[d]);
    return Promise.resolve(DONE);
  },
};

/** Throws CannotReplay; any other error than those that Linux answers with is the engine's own. */
export async function perform(replay: Replay, operation: Operation): Promise<Results> {
  const act = PERFORM[operation.op];
  if (act === undefined) throw new CannotReplay(`${operation.op} is not modelled yet`);
  try {
    return await act(replay, operation);
  } catch (error) {
    if (error instanceof AccessFault) return { rc: error.signal };
    if (error instanceof MemoryError) return { rc: -errnoOf(error.code) };
    throw error;
  }
}

function clientOf(replay: Replay, { p, d, i, n }: Operation): [RecordedProcess["clients"][number], number, number] {
  const first = replay.firstPage + i;
  return [replay.process(p).clients[d], first, first + n];
}

function rangeOf(replay: Replay, { p, i, n }: Operation): [RecordedProcess["mm"], number, number] {
  return [replay.process(p).mm, replay.address(i), n * replay.header.pageSize];
}
