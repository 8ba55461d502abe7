/** What a thread needs to reach the pages of a shared machine. All of it can be posted. */

/** Neighbouring frames of host memory, and the bytes of them. */
export interface SharedRegion {
  readonly first: number;
  readonly frames: number;
  readonly buffer: SharedArrayBuffer;
  readonly byteOffset: number;
}

/** Parts of the machine that the thread does not know yet. Nothing of what it knows moves or goes. */
export interface SharedGrowth {
  /** The frame table, larger than before; the part that was known is the same memory. */
  readonly frameTable: SharedArrayBuffer | null;
  /** Chunks of page tables, after those that are known. */
  readonly tables: readonly SharedArrayBuffer[];
  readonly regions: readonly SharedRegion[];
}

/** The machine, as a thread that begins sees it. */
export interface SharedView {
  /** Bytes a page, as a power of two. */
  readonly pageShift: number;
  /** Number of the root table of the address space. */
  readonly root: number;
  /** The words of `port-words.ts`: of all threads, and of this one. */
  readonly control: SharedArrayBuffer;
  readonly port: SharedArrayBuffer;
  readonly parts: SharedGrowth;
}
