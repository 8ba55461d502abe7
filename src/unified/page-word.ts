/** The word in shared memory that says where the pages of a mapping are. */

import { UNMAPPED } from "./pager.js";

export function createPageWord(): Int32Array {
  return new Int32Array(new SharedArrayBuffer(4)).fill(UNMAPPED);
}
