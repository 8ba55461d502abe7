/**
 * A doubly linked list of frames through their LRU words; frame 0 ends it. A frame is on at most one list. Counterpart: `struct list_head lru`.
 */

import * as frameTable from "./frames.js";
import type { Frames } from "./frames.js";

// A module's own constants become part of its code; imported ones are looked up at every use.
const FRAME_SHIFT = frameTable.FRAME_SHIFT;
const LRU_NEXT = frameTable.LRU_NEXT;
const LRU_PREV = frameTable.LRU_PREV;

export class FrameList {
  head = 0;
  tail = 0;
  length = 0;
  readonly #frames: Frames;

  constructor(frames: Frames) {
    this.#frames = frames;
  }

  pushFront(frame: number): void {
    const words = this.#frames.words;
    const at = frame << FRAME_SHIFT;
    words[at + LRU_NEXT] = this.head;
    words[at + LRU_PREV] = 0;
    if (this.head === 0) this.tail = frame;
    else words[(this.head << FRAME_SHIFT) + LRU_PREV] = frame;
    this.head = frame;
    this.length++;
  }

  remove(frame: number): void {
    const words = this.#frames.words;
    const at = frame << FRAME_SHIFT;
    const next = words[at + LRU_NEXT];
    const previous = words[at + LRU_PREV];
    if (previous === 0) this.head = next;
    else words[(previous << FRAME_SHIFT) + LRU_NEXT] = next;
    if (next === 0) this.tail = previous;
    else words[(next << FRAME_SHIFT) + LRU_PREV] = previous;
    words[at + LRU_NEXT] = 0;
    words[at + LRU_PREV] = 0;
    this.length--;
  }

  /** Removes and returns the frame that was pushed longest ago, 0 when the list is empty. */
  popBack(): number {
    const frame = this.tail;
    if (frame !== 0) this.remove(frame);
    return frame;
  }

  /** Removes and returns the frame that was pushed last, 0 when the list is empty. */
  popFront(): number {
    const frame = this.head;
    if (frame !== 0) this.remove(frame);
    return frame;
  }

  *[Symbol.iterator](): Generator<number> {
    const next = LRU_NEXT;
    for (let frame = this.head; frame !== 0; frame = this.#frames.words[(frame << FRAME_SHIFT) + next]) yield frame;
  }
}
