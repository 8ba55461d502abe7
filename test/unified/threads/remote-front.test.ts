// Suites of the arrays once more, in front of a pager that is asked by messages: here both are in one thread, so that the tests
// can look into the machine all the same. Suites that count the pager's own steps, or look at it while a message is on its
// way, run in front of the engine alone.

import { choose } from "../../setting.js";

choose("PAGEFERRY_TEST_REMOTE", "1");
await import("../checkpoints.test.js");
await import("../coherent.test.js");
await import("../dirty-ranges.test.js");
await import("../lost-device.test.js");
await import("../order.test.js");
await import("../residency.test.js");
await import("../sources.test.js");
await import("../swapped-snapshots.test.js");
