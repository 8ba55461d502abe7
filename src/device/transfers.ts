/**
 * The work space of migrations: protocol arrays and copy lists, lent to one migration at a time and used again, since
 * several batches may be under way at once.
 */

import { MigrateVma } from "../migrate/migrate-vma.js";
import { CopyList } from "./copy-list.js";

/** Pages that one hold of the mmap lock migrates, so that a queued fork or map is never starved. */
export const BATCH_PAGES = 512;

export class Transfer {
  readonly args = new MigrateVma(BATCH_PAGES);
  readonly copies = new CopyList(BATCH_PAGES);
  readonly clears = new CopyList(BATCH_PAGES);
  /** Pages that took their retained frame, without a copy. */
  dropped = 0;
  /** Pages for which there was no host memory. */
  withoutRoom = 0;
}

export class Transfers {
  readonly #idle: Transfer[] = [];

  take(): Transfer {
    const transfer = this.#idle.pop() ?? new Transfer();
    transfer.copies.clear();
    transfer.clears.clear();
    transfer.dropped = 0;
    transfer.withoutRoom = 0;
    return transfer;
  }

  give(transfer: Transfer): void {
    transfer.args.vma = null;
    transfer.args.faultPage = -1;
    this.#idle.push(transfer);
  }
}
