/** Huge pages for the mappings that ask for them. */

import { faultBlock } from "./huge-fault.js";
import { splitHugePage } from "./huge-page.js";
import type { HugePages } from "./huge-pages.js";
import { splitEntry } from "./split-entry.js";

export const TRANSPARENT_HUGE_PAGES: HugePages = { faultBlock, splitEntry, splitHugePage };
