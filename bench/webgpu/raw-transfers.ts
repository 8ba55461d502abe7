/**
 * How a program without this library gets data to a GPU and back: all of it at once or in pieces, by `writeBuffer` or through
 * buffers that are mapped. Which way is the quickest depends on the machine, so all of them are tried.
 */

import {
  BUFFER_COPY_DST,
  BUFFER_COPY_SRC,
  BUFFER_MAP_READ,
  BUFFER_MAP_WRITE,
  MAP_READ,
  MAP_WRITE,
} from "../../src/device/webgpu/usage.js";
import type { PlainProgram } from "./plain-program.js";

/** Bytes of a piece. */
const PIECES = [512 * 1024, 2 << 20, 8 << 20, 64 << 20];
/** Buffers that are mapped in turn. */
const BUFFERS = [2, 4];
/** Runs of a way before the best is chosen. */
const TRIALS = 3;

/** One way for all data in one direction. */
export interface RawTransfer {
  readonly name: string;
  /** Until the data is where it belongs. */
  run(): Promise<void>;
}

/** Where pieces begin and how large they are, with the numbers of the buffers that they go through in turn. */
function* piecesOf(bytes: number, piece: number, buffers = 1): Generator<[which: number, at: number, size: number]> {
  for (let at = 0, n = 0; at < bytes; at += piece, n++) yield [n % buffers, at, Math.min(piece, bytes - at)];
}

/** Ways from `data` into `buffer` by the queue itself. */
export function writes(
  { device: { queue } }: PlainProgram,
  data: Uint8Array<ArrayBuffer>,
  buffer: GPUBuffer,
): RawTransfer[] {
  return PIECES.filter((piece) => piece <= data.byteLength).map((piece) => ({
    name: `writeBuffer, ${piece / 1024} KiB each`,
    async run() {
      for (const [, at, size] of piecesOf(data.byteLength, piece)) queue.writeBuffer(buffer, at, data, at, size);
      await queue.onSubmittedWorkDone();
    },
  }));
}

/** Ways from `data` into `buffer` by copies on the GPU. */
export function stagedCopies(program: PlainProgram, data: Uint8Array<ArrayBuffer>, buffer: GPUBuffer): RawTransfer[] {
  return PIECES.flatMap((piece) =>
    BUFFERS.filter((count) => count * piece <= data.byteLength).map((count) =>
      staged(program, data, buffer, piece, count),
    ),
  );
}

function staged(
  program: PlainProgram,
  data: Uint8Array<ArrayBuffer>,
  buffer: GPUBuffer,
  piece: number,
  count: number,
): RawTransfer {
  const { device } = program;
  const staging = Array.from({ length: count }, () =>
    program.mappable(piece, BUFFER_MAP_WRITE | BUFFER_COPY_SRC, true),
  );
  const mapped: Promise<unknown>[] = staging.map(() => Promise.resolve());
  return {
    name: `${count} mapped buffers of ${piece / 1024} KiB`,
    async run() {
      for (const [which, at, size] of piecesOf(data.byteLength, piece, count)) {
        await mapped[which];
        new Uint8Array(staging[which].getMappedRange()).set(data.subarray(at, at + size));
        staging[which].unmap();
        const encoder = device.createCommandEncoder();
        encoder.copyBufferToBuffer(staging[which], 0, buffer, at, size);
        device.queue.submit([encoder.finish()]);
        mapped[which] = staging[which].mapAsync(MAP_WRITE);
      }
      await device.queue.onSubmittedWorkDone();
    },
  };
}

/** Ways from `buffer` into `data`. */
export function downloads(program: PlainProgram, data: Uint8Array<ArrayBuffer>, buffer: GPUBuffer): RawTransfer[] {
  const ways: RawTransfer[] = [];
  for (const piece of PIECES) {
    for (const count of BUFFERS)
      if (count * piece <= data.byteLength) ways.push(fetched(program, data, buffer, piece, count));
    if (piece === data.byteLength) ways.push(fetched(program, data, buffer, piece, 1));
  }
  return ways;
}

function fetched(
  program: PlainProgram,
  data: Uint8Array<ArrayBuffer>,
  buffer: GPUBuffer,
  piece: number,
  count: number,
): RawTransfer {
  const { device } = program;
  const staging = Array.from({ length: count }, () => program.mappable(piece, BUFFER_MAP_READ | BUFFER_COPY_DST));
  return {
    name: `${count} mapped ${count === 1 ? "buffer" : "buffers"} of ${piece / 1024} KiB`,
    async run() {
      const onTheWay: (() => Promise<void>)[] = [];
      for (const [n, at, size] of piecesOf(data.byteLength, piece, count)) {
        const which = staging[n];
        if (onTheWay.length === count) await onTheWay.shift()?.();
        const encoder = device.createCommandEncoder();
        encoder.copyBufferToBuffer(buffer, at, which, 0, size);
        device.queue.submit([encoder.finish()]);
        const mapped = which.mapAsync(MAP_READ, 0, size);
        onTheWay.push(async () => {
          await mapped;
          data.set(new Uint8Array(which.getMappedRange(0, size)), at);
          which.unmap();
        });
      }
      for (const receive of onTheWay) await receive();
    },
  };
}

/** The quickest of them. `prepare` is called before each run. */
export async function quickest(ways: readonly RawTransfer[], prepare: () => unknown): Promise<RawTransfer> {
  let [best] = ways;
  let least = Infinity;
  for (const way of ways) {
    let took = Infinity;
    for (let trial = 0; trial < TRIALS; trial++) {
      await prepare();
      const began = performance.now();
      await way.run();
      took = Math.min(took, performance.now() - began);
    }
    if (took < least) [best, least] = [way, took];
  }
  return best;
}
