/**
 * The pages of an array as programs use them on a device by themselves: bound, where they are held there side by side; or
 * copied to and from buffers of theirs.
 */

import { accessHost } from "../../access/host-access.js";
import type { BufferCopies, DeviceInterop, TargetCopies } from "../../device/driver.js";
import { unshareHeldPages, unsharePages } from "../../device/unshare.js";
import { MemoryError } from "../../mm/errors.js";
import { dontNeed, munmap } from "../../mm/space/mapping.js";
import { isDevicePrivateEntry, PTE_EXCLUSIVE, pteFrame } from "../../mm/table/entry.js";
import { DevicePin } from "../device-pin.js";
import { namePinned, type PinLeaks } from "../pin-leaks.js";
import type { GpuBuffer } from "../gpu-buffer.js";
import type { Checkpoint, Operation } from "../operation-queue.js";
import type { ElementBytes, MappingInterop, PinnedRange } from "../pager.js";
import type { BoundRange } from "./bound-pages.js";
import { deviceEngine } from "./device-engine.js";
import { alone, type DeviceEngine, type Engine } from "./engine.js";
import { loadRun } from "./load-run.js";
import type { LocalMapping } from "./local-mapping.js";
import { refuseBound, refuseHeld, type Wanted } from "./refuse-held.js";
import { loadPastCopies } from "./thread-pins.js";
import { Turns } from "./turn.js";

/** Bytes of one step of a copy: what its staging takes, and the distance between two places where it may stop. */
const STEP_BYTES = 8 * 1024 * 1024;

/** WebGPU copies nothing smaller. */
const COPY_ALIGNMENT = 4;

/** A copy that is checked, between bytes of an array and bytes of a buffer. */
interface Copy {
  /** First byte of the array, and past the last. */
  readonly from: number;
  readonly to: number;
  /** What is added to a byte of the array gives that of the buffer. */
  readonly shift: number;
}

export class LocalInterop implements MappingInterop {
  readonly #engine: DeviceEngine;
  readonly #mapping: LocalMapping;

  constructor(engine: Engine, mapping: LocalMapping) {
    this.#engine = deviceEngine(engine);
    this.#mapping = mapping;
  }

  async bind(
    range: PinnedRange,
    elements: ElementBytes,
    leaks: PinLeaks | null,
    onRelease: () => void,
    operation: Operation,
  ): Promise<DevicePin> {
    const pin = await alone(this.#engine, operation, () =>
      this.#bind(
        range,
        elements,
        () => {
          onRelease();
          leaks?.unregister(pin);
        },
        operation,
      ),
    );
    leaks?.register(pin, `${range.mode} binding of ${namePinned(range)}`, "on the device");
    return pin;
  }

  copyTo(buffer: unknown, offset: unknown, elements: ElementBytes, operation: Operation): Promise<void> {
    return alone(this.#engine, operation, async () => {
      operation.checkpoint();
      const interop = this.#interop("copyTo");
      refuseBound(this.#engine, this.#wanted("copyTo", elements, false), ...this.#pagesOf(elements));
      const target = await interop.target(buffer);
      const copy = copyOf("copyTo", "targetOffset", elements, offset, target.size);
      await this.#inSteps(copy, target, STEP_BYTES, operation.checkpoint, (part) =>
        this.#copyOut(part, target, operation.checkpoint),
      );
    });
  }

  copyFrom(buffer: unknown, offset: unknown, elements: ElementBytes, operation: Operation): Promise<void> {
    return alone(this.#engine, operation, async () => {
      operation.checkpoint();
      const interop = this.#interop("copyFrom");
      const wanted = this.#wanted("copyFrom", elements, true);
      refuseHeld(this.#engine, wanted, ...this.#pagesOf(elements));
      const source = await interop.source(buffer);
      const copy = copyOf("copyFrom", "sourceOffset", elements, offset, source.size);
      const { machine, residency } = this.#engine;
      // What a step has loaded stays until it is written.
      const step = Math.min(STEP_BYTES, Math.max(1, residency.freeable) * machine.pageSize);
      await this.#inSteps(copy, source, step, operation.checkpoint, (part) => this.#copyIn(part, source, wanted));
    });
  }

  async #bind(
    range: PinnedRange,
    elements: ElementBytes,
    onRelease: () => void,
    { checkpoint }: Operation,
  ): Promise<DevicePin> {
    checkpoint();
    const { attached, bound, machine, mm, residency } = this.#engine;
    const interop = this.#interop("bind");
    const writes = range.mode === "write";
    const { offset, size } = this.#checkBinding(interop, range, elements);
    const wanted = this.#wanted("bind", elements, writes);
    refuseHeld(this.#engine, wanted, range.first, range.end - range.first);
    const start = this.#mapping.page + range.first;
    const end = this.#mapping.page + range.end;
    await unsharePages(attached, mm, start, end, checkpoint);
    const frames = await this.#load(wanted, start, end, () =>
      loadRun(residency, start, end, writes ? "kernel" : "prefetch", checkpoint, machine.pageSize),
    );
    if (writes) {
      residency.grantWrite(start, frames);
      residency.willWrite(frames);
    }
    const held: BoundRange = { range, start, end, frames, residency };
    bound.hold(held);
    const place = interop.placeOf(frames[0], writes);
    const binding = { buffer: place.buffer as GpuBuffer, offset: place.offset + offset, size };
    const holder = {
      get isHeld(): boolean {
        return bound.isHeld(held);
      },
      letGo: () => bound.letGo(held),
    };
    return new DevicePin(range, binding, holder, onRelease);
  }

  /** Where in its first page the range begins, and its bytes. */
  #checkBinding(
    { bindingAlignment }: DeviceInterop,
    { first, end }: PinnedRange,
    { label, stride, start, length }: ElementBytes,
  ): { offset: number; size: number } {
    const { attached, machine, residency } = this.#engine;
    const { pageSize } = machine;
    const size = length * stride;
    const what = `elements ${start} to ${start + length} of array "${label}"`;
    const offset = (start * stride) % pageSize;
    if (offset % bindingAlignment !== 0) {
      throw new MemoryError(
        "EINVAL",
        `${what} begin at byte ${start * stride}: a binding begins at a multiple of ${bindingAlignment} bytes (minStorageBufferOffsetAlignment)`,
      );
    }
    if (size % COPY_ALIGNMENT !== 0)
      throw new MemoryError("EINVAL", `${what} are ${size} bytes: a binding has a multiple of ${COPY_ALIGNMENT} bytes`);
    if (end - first > residency.runFrames) {
      throw new MemoryError(
        "ENOMEM",
        `${what} take ${(end - first) * pageSize} bytes side by side, more than the ${residency.runFrames * pageSize} of one buffer of ${attached.driver.name}`,
      );
    }
    return { offset, size };
  }

  /** What waits for copies of other threads. */
  #load<T>(wanted: Wanted, start: number, end: number, load: () => Promise<T>): Promise<T> {
    const { machine, sharing } = this.#engine;
    if (sharing === null) return load();
    const refuse = (): void => refuseHeld(this.#engine, wanted, start - this.#mapping.page, end - start);
    return loadPastCopies(sharing.ports, machine.environment, start, end, () => {}, refuse, load);
  }

  /** Pages on the device by the device, those on the host from there; nothing moves. */
  async #copyOut({ from, to, shift }: Copy, target: TargetCopies, checkpoint: Checkpoint): Promise<void> {
    const { attached, machine, mm } = this.#engine;
    const { pageSize } = machine;
    const origin = this.#mapping.page;
    const end = origin + Math.ceil(to / pageSize);
    const useHost = (bytes: Uint8Array, page: number): void => {
      const runStart = (page - origin) * pageSize;
      const first = Math.max(from, runStart);
      const last = Math.min(to, runStart + bytes.byteLength);
      target.bytes(bytes.subarray(first - runStart, last - runStart), first + shift);
    };
    for (let page = origin + Math.floor(from / pageSize); page < end;) {
      const frame = this.#frameOf(page);
      let next = page + 1;
      if (frame < 0) {
        while (next < end && this.#frameOf(next) < 0) next++;
        await accessHost(attached, mm, page, next, false, useHost, checkpoint);
      } else {
        while (next < end && this.#frameOf(next) === frame + next - page) next++;
        const runStart = (page - origin) * pageSize;
        const first = Math.max(from, runStart);
        const last = Math.min(to, (next - origin) * pageSize);
        target.frames(frame, first - runStart, last - first, first + shift);
        // Before anything else can have the frames.
        target.submit();
      }
      page = next;
    }
  }

  /** As a kernel that writes the pages; what is overwritten whole need not be there before. */
  async #copyIn(copy: Copy, source: BufferCopies, wanted: Wanted): Promise<void> {
    const { pageSize } = this.#engine.machine;
    const origin = this.#mapping.page;
    const start = origin + Math.floor(copy.from / pageSize);
    const end = origin + Math.ceil(copy.to / pageSize);
    const held: Int32Array[] = [];
    const wholeStart = origin + Math.ceil(copy.from / pageSize);
    const wholeEnd = origin + this.#wholeEnd(copy.to, wanted);
    const given = await this.#giveUp(wholeStart, wholeEnd);
    try {
      await unsharePages(this.#engine.attached, this.#engine.mm, start, end);
      await this.#loadToWrite(wanted, start, end, held);
      this.#copyHeld(copy, source, start, held);
    } catch (error) {
      if (given) await this.#markGivenUp(wholeStart, wholeEnd).catch(() => {});
      throw error;
    } finally {
      for (const frames of held) this.#engine.residency.release(frames);
    }
  }

  /** Run by run, so that nothing moves only to lie side by side. */
  async #loadToWrite(wanted: Wanted, start: number, end: number, held: Int32Array[]): Promise<void> {
    const { residency } = this.#engine;
    for (let page = start; page < end;) {
      const frame = this.#frameOf(page);
      let next = page + 1;
      while (next < end && this.#frameOf(next) === (frame < 0 ? -1 : frame + next - page)) next++;
      const frames = await this.#load(wanted, page, next, () =>
        residency.load(page, next, "kernel", () => {}, { written: true }),
      );
      residency.grantWrite(page, frames);
      residency.hold(frames);
      held.push(frames);
      residency.willWrite(frames);
      page = next;
    }
  }

  #copyHeld({ from, to, shift }: Copy, source: BufferCopies, start: number, held: readonly Int32Array[]): void {
    const { pageSize } = this.#engine.machine;
    let page = start - this.#mapping.page;
    for (const frames of held) {
      for (let i = 0; i < frames.length;) {
        let next = i + 1;
        while (next < frames.length && frames[next] === frames[i] + next - i) next++;
        const runStart = (page + i) * pageSize;
        const first = Math.max(from, runStart);
        const last = Math.min(to, (page + next) * pageSize);
        source.frames(frames[i], first - runStart, last - first, first + shift);
        i = next;
      }
      page += frames.length;
    }
    source.submit();
  }

  /** The page of the array before which all is overwritten up to byte `to`: what is beyond its last element is nobody's. */
  #wholeEnd(to: number, { array: { length, stride } }: Wanted): number {
    const { pageSize } = this.#engine.machine;
    return to === length * stride ? Math.ceil(to / pageSize) : Math.floor(to / pageSize);
  }

  /**
   * Gives up the pages that would have to be brought, or copied for those who share them, only to be overwritten; did it? Not
   * where other threads may pin a page meanwhile, which then must stay the array's.
   */
  async #giveUp(start: number, end: number): Promise<boolean> {
    const { machine, mm, sharing } = this.#engine;
    if (sharing !== null) return false;
    const stays = (page: number): boolean => {
      const word = mm.pageTable.read(page);
      return word === 0 || (this.#frameOf(page) >= 0 && (word & PTE_EXCLUSIVE) !== 0);
    };
    let given = false;
    for (let page = start; page < end;) {
      let next = page + 1;
      if (!stays(page)) {
        while (next < end && !stays(next)) next++;
        await dontNeed(mm, page * machine.pageSize, (next - page) * machine.pageSize);
        given = true;
      }
      page = next;
    }
    return given;
  }

  /** What was given up and not overwritten is 0 now, which is a change. */
  async #markGivenUp(start: number, end: number): Promise<void> {
    const { attached, mm } = this.#engine;
    for (let page = start; page < end; page++)
      if (mm.pageTable.read(page) === 0) await accessHost(attached, mm, page, page + 1, true, () => {});
  }

  /** The device's frame of a page, by its number there; -1 for one that is not on it. */
  #frameOf(page: number): number {
    const { attached, mm } = this.#engine;
    const { first, frames } = attached.zone;
    const word = mm.pageTable.read(page);
    const frame = pteFrame(word) - first;
    return isDevicePrivateEntry(word) && frame >= 0 && frame < frames ? frame : -1;
  }

  /** Calls `work` for parts of a copy that end at pages; the next is begun when the device has done the one before the last. */
  async #inSteps(
    { from, to, shift }: Copy,
    copies: BufferCopies,
    stepBytes: number,
    checkpoint: Checkpoint,
    work: (part: Copy) => Promise<void>,
  ): Promise<void> {
    const { machine } = this.#engine;
    const turns = new Turns(machine.environment);
    const step = Math.max(1, Math.floor(stepBytes / machine.pageSize)) * machine.pageSize;
    let before: Promise<void> | null = null;
    try {
      for (let at = from; at < to;) {
        checkpoint();
        const end = Math.min(to, Math.floor(at / step) * step + step);
        await work({ from: at, to: end, shift });
        await before;
        before = copies.done();
        before.catch(() => {});
        await turns.take();
        at = end;
      }
    } finally {
      await before;
    }
  }

  #wanted(by: string, { label, stride, start, length, total }: ElementBytes, written: boolean): Wanted {
    const array = { label, mapping: this.#mapping, stride, length: total, written };
    return { array, by, elements: { first: start, length }, inPlace: false };
  }

  #pagesOf({ stride, start, length }: ElementBytes): [page: number, pages: number] {
    const { pageSize } = this.#engine.machine;
    const page = Math.floor((start * stride) / pageSize);
    return [page, Math.ceil(((start + length) * stride) / pageSize) - page];
  }

  #interop(what: string): DeviceInterop {
    const { device, driver, lost } = this.#engine.attached;
    if (lost !== null) throw lost;
    if (device.interop !== undefined) return device.interop;
    throw new MemoryError("ENOTSUP", `${what} is for devices of WebGPU: ${driver.name} has no GPUBuffers`);
  }
}

/** The bytes that are copied. Throws EINVAL for such as WebGPU does not copy, or as the buffer does not have. */
function copyOf(
  what: string,
  offsetName: string,
  { label, stride, start, length }: ElementBytes,
  offset: unknown,
  size: number,
): Copy {
  const from = start * stride;
  const bytes = length * stride;
  if (typeof offset !== "number" || !Number.isSafeInteger(offset) || offset < 0 || offset % COPY_ALIGNMENT !== 0) {
    throw new MemoryError(
      "EINVAL",
      `${offsetName} of ${String(offset)} is not a whole number of bytes, a multiple of ${COPY_ALIGNMENT}`,
    );
  }
  if (from % COPY_ALIGNMENT !== 0 || bytes % COPY_ALIGNMENT !== 0) {
    throw new MemoryError(
      "EINVAL",
      `elements ${start} to ${start + length} of array "${label}" are bytes ${from} to ${from + bytes}: ${what} needs multiples of ${COPY_ALIGNMENT}`,
    );
  }
  if (offset + bytes > size) {
    throw new MemoryError("EINVAL", `${what} needs bytes ${offset} to ${offset + bytes} of a buffer that has ${size}`);
  }
  return { from, to: from + bytes, shift: offset - from };
}

/**
 * A snapshot of bound pages gets copies of them at once, since they stay where they are and may be written there. `page` is the
 * snapshot's first; it is unmapped again when there is no memory for them.
 */
export async function leaveBoundPages(
  engine: Engine,
  held: readonly BoundRange[],
  page: number,
  pages: number,
): Promise<number> {
  const { attached, machine, mm, residency } = deviceEngine(engine);
  try {
    for (const { start, end, range, frames } of held) {
      await unshareHeldPages(attached, mm, start, end, (frame) => residency.holdsOf(frame - attached.zone.first));
      if (range.mode === "write") residency.grantWrite(start, frames);
    }
    return page;
  } catch (error) {
    await munmap(mm, page * machine.pageSize, pages * machine.pageSize);
    throw error;
  }
}
