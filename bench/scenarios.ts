/** All scenarios, in the order of the table. */

import { copyingInOrder, copyingScrambled } from "./copying.js";
import { protocolAtHome, protocolScrambled } from "./protocol.js";
import type { Scenario } from "./scenario.js";

export const SCENARIOS: readonly Scenario[] = [protocolAtHome, protocolScrambled, copyingInOrder, copyingScrambled];
