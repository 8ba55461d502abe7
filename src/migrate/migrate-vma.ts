/**
 * One migration of pages of one VMA: what is asked, and the two arrays that the steps and the driver share. A driver
 * keeps one and uses it again, since the arrays are its largest part. Counterpart: `struct migrate_vma`.
 */

import { MemoryError } from "../mm/errors.js";
import type { Vma } from "../mm/space/vma.js";

/**
 * One migration of a range of pages, from setup to finalize: what was asked, and an entry for each page. `struct migrate_vma`.
 */
export class MigrateVma {
  readonly src: Int32Array;
  readonly dst: Int32Array;
  vma: Vma | null = null;
  /** Bytes; page-aligned; within the VMA. */
  start = 0;
  end = 0;
  /** MIGRATE_VMA_SELECT_*: where the pages are that may move. */
  flags = 0;
  /** Device pages are selected only if their page map has this owner; notifiers of the owner may ignore the migration. */
  owner: object | null = null;
  /** The device frame whose fault this migration serves, with its one extra reference; -1 for none. */
  faultPage = -1;
  /** Pages that setup found and that may migrate. */
  cpages = 0;
  /** Pages of the range: entries of the arrays in use. */
  npages = 0;

  /** `capacity` is how many pages one migration may have; EINVAL for none, or no whole number. */
  constructor(readonly capacity: number) {
    if (!Number.isSafeInteger(capacity) || capacity < 1) {
      throw new MemoryError("EINVAL", `a capacity of ${capacity} pages is not a whole number of at least 1`);
    }
    this.src = new Int32Array(capacity);
    this.dst = new Int32Array(capacity);
  }
}
