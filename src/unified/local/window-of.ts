/** Where threads see the pages of an array, in a memory that has views. */

import { MemoryError } from "../../mm/errors.js";
import type { WindowBytes } from "../pager.js";
import type { Engine } from "./engine.js";
import type { LocalMapping } from "./local-mapping.js";

/** ENOTSUP in a memory without views, EINVAL of an array that is destroyed, ENOMEM for want of addresses. */
export function windowOf({ views }: Engine, mapping: LocalMapping): WindowBytes {
  if (views === null)
    throw new MemoryError(
      "ENOTSUP",
      'a view needs a memory made with cpuAccess: "transparent"; pins have views everywhere',
    );
  return views.bytesOf(mapping);
}
