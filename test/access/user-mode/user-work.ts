/** What `user-worker.ts` is given to do. */

import type { SharedView } from "../../../src/access/user-mode/shared-view.js";

/** What the pager and the threads say to each other, as words: to stop; and for each thread its stores to each page. */
export const STOP = 0;
export const STORES = 1;

export interface UserWork {
  readonly view: SharedView;
  /** The first page, and how many. */
  readonly page: number;
  readonly pages: number;
  /** Which of the words of each page is this thread's. */
  readonly own: number;
  readonly words: SharedArrayBuffer;
}
