/** Packages that know nothing of this one order, hash, pack and unpack arrays that a device works on meanwhile. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { runProgram, skip } from "./setting.js";

test(
  "packages work on arrays while a kernel works on the same pages; the faults are the system's own",
  { skip },
  async (t) => {
    const { code, output, errors } = await runProgram(fileURLToPath(new URL("./library/program.js", import.meta.url)));
    assert.equal(code, 0, output + errors);
    t.diagnostic(output.trim());
    const { faults = 0, answered = 0, dispatches = 0 } = JSON.parse(output) as Record<string, number>;
    assert.ok(faults > 0);
    // Of the thread that fills and checks the array there are as many as pages, at most.
    assert.ok(answered > 3 * 16);
    assert.ok(dispatches > 1);
  },
);
