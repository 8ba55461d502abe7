/** What a pager needs to swap and to map sources, loaded when that is first wanted: most memories do neither. */

import { loadPart } from "../../device/load-part.js";
import type * as Stores from "./stores.js";

export function loadStores(): Promise<typeof Stores> {
  return loadPart("swap and mapped files", () => import("./stores.js"));
}
