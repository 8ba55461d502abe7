/**
 * Which frames of a device are free: a bit a frame, searched from where the last search ended. A run is always
 * contiguous; callers that can do with less ask for less.
 */

export class FrameAllocator {
  readonly frames: number;
  /** A set bit is a free frame. */
  readonly #bits: Int32Array;
  #free: number;
  #cursor = 0;

  constructor(frames: number) {
    this.frames = frames;
    this.#bits = new Int32Array(Math.ceil(frames / 32)).fill(-1);
    const spare = this.#bits.length * 32 - frames;
    if (spare > 0) this.#bits[this.#bits.length - 1] = -1 >>> spare;
    this.#free = frames;
  }

  get free(): number {
    return this.#free;
  }

  isFree(frame: number): boolean {
    return (this.#bits[frame >>> 5] & (1 << (frame & 31))) !== 0;
  }

  /** One free frame, -1 when there is none. */
  allocate(): number {
    const words = this.#bits.length;
    for (let i = 0; i <= words; i++) {
      const at = (this.#cursor + i) % words;
      const bits = this.#bits[at];
      if (bits === 0) continue;
      this.#cursor = at;
      const frame = (at << 5) + (31 - Math.clz32(bits & -bits));
      this.take(frame, 1);
      return frame;
    }
    return -1;
  }

  /** The first frame of a free run of `count`, the lowest there is; -1 when there is none. Takes nothing. */
  findRun(count: number): number {
    let run = 0;
    for (let frame = 0; frame < this.frames; frame++) {
      if ((frame & 31) === 0 && this.#bits[frame >>> 5] === 0) {
        run = 0;
        frame += 31;
        continue;
      }
      run = this.isFree(frame) ? run + 1 : 0;
      if (run === count) return frame - count + 1;
    }
    return -1;
  }

  /** Takes frames that are free. */
  take(first: number, count: number): void {
    for (let frame = first; frame < first + count; frame++) this.#bits[frame >>> 5] &= ~(1 << (frame & 31));
    this.#free -= count;
  }

  release(frame: number): void {
    this.#bits[frame >>> 5] |= 1 << (frame & 31);
    this.#free++;
  }
}
