/** Loads the part of a pager that not every memory needs, once; `purpose` is what it is wanted for. */

import { loadPart } from "../../device/load-part.js";
import type * as OnDemand from "./on-demand.js";

/** An `import()` of what is loaded already takes some 7 microseconds, too much for every prefetch. */
let part: typeof OnDemand | undefined;

export async function loadOnDemand(purpose: string): Promise<typeof OnDemand> {
  return (part ??= await loadPart(purpose, () => import("./on-demand.js")));
}
