/**
 * Retained home frames: while a page is on a device, its home frame keeps the bytes until the host budget needs it. A
 * device page that nothing wrote since it arrived can then be dropped instead of copied back.
 *
 * Invariants: a retained frame has no reference, is charged, is on the list, and its `private` names the device frame
 * that holds its page; that device frame has PG_HAS_COPY and names the retained frame in turn. Whoever lets a device
 * write the frame calls `wrote` first, which gives the stale home frame up.
 */

import type { Charge } from "./charge.js";
import * as frameTable from "../frames/frames.js";
import type { Frames } from "../frames/frames.js";
import { FrameList } from "../frames/frame-list.js";

// A module's own constants become part of its code; imported ones are looked up at every use.
const FLAGS = frameTable.FLAGS;
const FRAME_SHIFT = frameTable.FRAME_SHIFT;
const PG_FILE_COPY = frameTable.PG_FILE_COPY;
const PG_HAS_COPY = frameTable.PG_HAS_COPY;
const PG_RETAINED = frameTable.PG_RETAINED;
const PG_ZEROS = frameTable.PG_ZEROS;
const PRIVATE = frameTable.PRIVATE;

/** Frames that nothing uses, and whose memory the process still has. */
export interface IdleFrames {
  add(frame: number): void;
  /** A frame that had no memory is handed out, and so has some. */
  touched(): void;
}

export class RetainedFrames {
  readonly list: FrameList;
  /** Told of frames that are given up, whose memory the system may have; null where it cannot be given back. */
  idle: IdleFrames | null = null;
  /** Retained frames given up because the host budget needed them. */
  reclaimed = 0;
  readonly #frames: Frames;
  readonly #charge: Charge;

  constructor(frames: Frames, charge: Charge) {
    this.#frames = frames;
    this.#charge = charge;
    this.list = new FrameList(frames);
  }

  add(home: number, device: number): void {
    const words = this.#frames.words;
    words[(home << FRAME_SHIFT) + FLAGS] |= PG_RETAINED;
    words[(home << FRAME_SHIFT) + PRIVATE] = device;
    words[(device << FRAME_SHIFT) + FLAGS] |= PG_HAS_COPY;
    words[(device << FRAME_SHIFT) + PRIVATE] = home;
    this.list.pushFront(home);
  }

  /** Are the bytes of a device frame also in its retained home frame? */
  hasCopy(device: number): boolean {
    return (this.#frames.flags(device) & PG_HAS_COPY) !== 0;
  }

  /** The home frame that is retained for a device frame; 0 for none. */
  of(device: number): number {
    return this.#frames.private(device);
  }

  /**
   * A device is about to write the frame, its own or one of the host: a retained copy goes stale and is given up, and the
   * page is no copy of a file any more, and not known to be zero.
   */
  wrote(device: number): void {
    this.#frames.clearFlags(device, PG_FILE_COPY | PG_ZEROS);
    if (this.hasCopy(device)) this.drop(this.of(device));
  }

  /** The page comes back to its retained home frame, which keeps its charge. */
  take(home: number): void {
    this.#unlink(home);
  }

  /** Gives the frame and its charge up. */
  drop(home: number): void {
    this.#unlink(home);
    this.#charge.uncharge(1);
    this.idle?.add(home);
  }

  /** Gives up to `pages` frames up, those retained longest first; returns how many. */
  reclaim(pages: number): number {
    let reclaimed = 0;
    while (reclaimed < pages && this.list.tail !== 0) {
      this.drop(this.list.tail);
      reclaimed++;
    }
    this.reclaimed += reclaimed;
    return reclaimed;
  }

  #unlink(home: number): void {
    const words = this.#frames.words;
    const device = words[(home << FRAME_SHIFT) + PRIVATE];
    words[(home << FRAME_SHIFT) + FLAGS] &= ~PG_RETAINED;
    words[(home << FRAME_SHIFT) + PRIVATE] = 0;
    words[(device << FRAME_SHIFT) + FLAGS] &= ~PG_HAS_COPY;
    words[(device << FRAME_SHIFT) + PRIVATE] = 0;
    this.list.remove(home);
  }
}
