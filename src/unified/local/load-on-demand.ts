/** Loads the part of a pager that not every memory needs; `purpose` is what it is wanted for. */

import { loadPart } from "../../device/load-part.js";
import type * as OnDemand from "./on-demand.js";

export function loadOnDemand(purpose: string): Promise<typeof OnDemand> {
  return loadPart(purpose, () => import("./on-demand.js"));
}
