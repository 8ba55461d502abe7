/** Host memory really shrinks: what the process has of it, as the system counts it, is what the budget says. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { suite, test } from "node:test";
import { fileURLToPath } from "node:url";
import { runProgram, skip } from "./setting.js";

const program = fileURLToPath(new URL("./memory/program.js", import.meta.url));

/** MiB that a program of Node may have more after some work: code, the heap, stacks. */
const OTHER = 28;

async function measure(what: string): Promise<Record<string, number>> {
  const { code, output, errors } = await runProgram(program, [what]);
  assert.equal(code, 0, output + errors);
  return JSON.parse(output) as Record<string, number>;
}

suite("memory", { skip }, () => {
  test("frames whose pages are on the device are the system's again when the budget needs them", async (t) => {
    const { most = 0, host = 0, device = 0, used } = await measure("budget");
    t.diagnostic(`${most} MiB more than before, of them ${device} for the software device`);
    assert.equal(used, host);
    // The array is of 56 MiB, which would all be there beside the device's.
    assert.ok(most < host + device + OTHER, `${most} MiB`);
  });

  test("a view of eight times the host's memory, with the rest in a file", async (t) => {
    const { most = 0, host = 0, written = 0 } = await measure("swap");
    t.diagnostic(`${most} MiB more than before, ${written} MiB written to the file`);
    assert.ok(most < host + OTHER, `${most} MiB`);
    assert.ok(written > 100);
  });

  test("pages as large as the system's huge ones are huge, also once they went to the device and came back", async (t) => {
    const enabled = readFileSync("/sys/kernel/mm/transparent_hugepage/enabled", "utf8");
    if (enabled.includes("[never]")) return t.skip("this system gives no huge pages");
    const { all = 0, large = 0, small = 0 } = await measure("huge");
    t.diagnostic(`${large} of ${all} MiB`);
    // The system may have fewer of them than are asked for.
    assert.ok(large >= all / 2, `${large} of ${all} MiB`);
    // Where the system backs everything with huge pages, it asks nobody.
    if (enabled.includes("[always]")) return;
    assert.ok(small < all / 2, "pages of 64 KiB, which would be taken out of huge ones one by one");
  });
});
