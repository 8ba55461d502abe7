/**
 * Memory for words and bytes, of one thread or shared. What is shared never moves, so that a view which another thread has
 * stays a view of the same memory when more is added.
 */

import { MemoryError } from "./errors.js";

/** Known to every engine, but its types come with the DOM, which this layer does not know. */
declare const WebAssembly: {
  Memory: new (size: { initial: number; maximum: number; shared?: boolean }) => {
    readonly buffer: ArrayBuffer;
    grow(pages: number): number;
  };
};

export const WASM_PAGE = 65_536;

/** Throws ENOTSUP, with what is missing, where memory cannot be shared between threads. */
export function assertShareable(): void {
  const { crossOriginIsolated, SharedArrayBuffer: shareable } = globalThis as {
    crossOriginIsolated?: boolean;
    SharedArrayBuffer?: unknown;
  };
  if (shareable !== undefined && crossOriginIsolated !== false) return;
  throw new MemoryError(
    "ENOTSUP",
    "shared memory needs a page that is cross-origin isolated: serve it with the headers Cross-Origin-Opener-Policy: same-origin and Cross-Origin-Embedder-Policy: require-corp",
  );
}

/** `count` words that are 0 and never become more. */
export function allocateWords(count: number, shared: boolean): Int32Array {
  const bytes = count * Int32Array.BYTES_PER_ELEMENT;
  return new Int32Array(shared ? new SharedArrayBuffer(bytes) : new ArrayBuffer(bytes));
}

/** Page-aligned bytes that take no memory until they are touched; a multiple of `WASM_PAGE`. Throws what the engine throws. */
export function allocateRegion(bytes: number, shared: boolean): Uint8Array {
  const pages = bytes / WASM_PAGE;
  return new Uint8Array(new WebAssembly.Memory({ initial: pages, maximum: pages, shared }).buffer);
}

/** Words that become more: by a copy, or in place where other threads have views of them. */
export class GrowingWords {
  words: Int32Array;
  readonly #memory: { readonly buffer: ArrayBuffer; grow(pages: number): number } | null = null;

  constructor(most: number, shared: boolean) {
    if (shared) this.#memory = new WebAssembly.Memory({ initial: 0, maximum: wasmPages(most), shared });
    this.words = this.#memory === null ? new Int32Array(0) : new Int32Array(this.#memory.buffer, 0, 0);
  }

  grow(count: number): void {
    if (this.#memory === null) {
      const grown = new Int32Array(count);
      grown.set(this.words);
      this.words = grown;
      return;
    }
    const missing = wasmPages(count) - this.#memory.buffer.byteLength / WASM_PAGE;
    if (missing > 0) this.#memory.grow(missing);
    this.words = new Int32Array(this.#memory.buffer, 0, count);
  }
}

function wasmPages(words: number): number {
  return Math.ceil((words * Int32Array.BYTES_PER_ELEMENT) / WASM_PAGE);
}
