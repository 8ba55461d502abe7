/**
 * A page table of a process that is written from outside: what transparent access asks of the system, or of the software
 * that stands in its place. It knows neither arrays nor the engine.
 *
 * A *window* is a range of addresses through which threads of the process reach pages. A page of it is absent (any
 * access faults), shown (a copy of a frame, which only loads reach), owned (the only place of its bytes) or guarded (the
 * same, but a store faults). The caller knows which, and asks for what fits; an error leaves the process in an unknown state.
 *
 * All is synchronous, and about runs of whole pages that lie side by side on both sides. `at` is an address in a window,
 * `frame` one in a region of frames. When a method returns, all threads see it; whoever waits for the range is woken, save by
 * `guard`.
 */

/** An aperture for one array. */
export interface ProcessWindow {
  readonly buffer: SharedArrayBuffer;
  readonly byteOffset: number;
  readonly bytes: number;
  /** Of its first byte. */
  readonly address: number;
}

export interface ProcessPages {
  /** What it is done by, for reports. */
  readonly method: string;
  /** A window of absent pages. Throws ENOMEM when there are no addresses for it. */
  createWindow(bytes: number): ProcessWindow;
  /** Nothing faults there any more; what a load finds is unspecified. The addresses are not used again. */
  closeWindow(window: ProcessWindow): void;
  /** The address of a region of frames, which is told of once. */
  addressOf(region: Uint8Array): number;
  /** Absent to owned: the frame's bytes are the window's alone. */
  install(at: number, frame: number, bytes: number): void;
  /** Absent to shown. */
  show(at: number, frame: number, bytes: number): void;
  /** Shown to owned: the frame, whose bytes are the same, holds nothing afterwards. */
  adopt(at: number, frame: number, bytes: number): void;
  /** Owned to guarded. */
  guard(at: number, bytes: number): void;
  /** Guarded to owned. */
  unguard(at: number, bytes: number): void;
  /** Owned or guarded to absent: the frame has the bytes, with all that any thread has stored. */
  takeBack(frame: number, at: number, bytes: number): void;
  /** Shown to absent. */
  drop(at: number, bytes: number): void;
  wake(at: number, bytes: number): void;
  /** Gives memory of frames back to the system. They hold nothing: what they held reads as zeros, or as it was. */
  release(frame: number, bytes: number): void;
}
