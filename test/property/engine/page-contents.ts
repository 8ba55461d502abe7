/**
 * What fills a page: one 32-bit value, repeated. A page that mixes two values was copied half way, or by two at once.
 */

export const TORN = -1;
/** What discarded frames are filled with. */
export const POISONED = 0xdbdbdbdb;

export function fillPage(bytes: Uint8Array, value: number): void {
  wordsOf(bytes).fill(value);
}

/** The value that fills the page; TORN when it is not one. */
export function valueOf(bytes: Uint8Array): number {
  const words = wordsOf(bytes);
  const value = words[0];
  for (let i = 1; i < words.length; i++) if (words[i] !== value) return TORN;
  return value;
}

function wordsOf(bytes: Uint8Array): Uint32Array {
  return new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
}

/** A store of several pages by a device that tells the moment at which each page is stored. */
export class PagesToStore extends Uint8Array {
  #onStore: (page: number) => void = () => {};
  #pageSize = 1;

  /** Pages filled with `values`; `onStore` hears the number of each page, from 0, right before it is stored. */
  static storing(values: readonly number[], pageSize: number, onStore: (page: number) => void): PagesToStore {
    const pages = new PagesToStore(values.length * pageSize);
    values.forEach((value, i) => {
      fillPage(new Uint8Array(pages.buffer, i * pageSize, pageSize), value);
    });
    pages.#onStore = onStore;
    pages.#pageSize = pageSize;
    return pages;
  }

  override subarray(begin = 0, end?: number): Uint8Array<ArrayBuffer> {
    this.#onStore(begin / this.#pageSize);
    return super.subarray(begin, end);
  }
}
