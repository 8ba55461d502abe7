/** A thread that stores to the pages of a view for ever. */

import { workerData } from "node:worker_threads";

const { view, from } = workerData as { readonly view: Uint8Array<SharedArrayBuffer>; readonly from: number };

for (let at = from; ; at = (at + 65_536) % view.length) view[at]++;
