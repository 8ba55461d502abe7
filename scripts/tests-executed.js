// How many tests ran on each device, and how many have to: `test/webgpu/tests-executed.json` has what was recorded last, and
// fewer than that is a failure, because tests that do not run any more do not fail any more. A test is of WebGPU where it
// runs by a file under test/webgpu (in a page also where its name says so); all others are of the software device, or of none.
// Tests that are skipped do not count.

import { existsSync, readFileSync } from "node:fs";

const record = new URL("../test/webgpu/tests-executed.json", import.meta.url);

/**
 * Which count a test goes to.
 * @param {string} file Its path, of the source or compiled.
 * @param {string} name The test's own, or with those of the suites around it.
 * @param {"Node" | "Chromium"} where
 */
export function countOf(file, name, where) {
  const webgpu = /(^|\/)test\/webgpu\//.test(file.replaceAll("\\", "/")) || /\bwebgpu\b/i.test(name);
  return `${webgpu ? "webgpu" : "mirror"} in ${where}`;
}

/**
 * Lines that say how many ran, and whether any count is smaller than the one recorded.
 * @param {ReadonlyMap<string, number>} counts
 * @returns {{ lines: string[], fewer: boolean }}
 */
export function compareWithRecord(counts) {
  /** @type {Record<string, number>} */
  const recorded = existsSync(record) ? JSON.parse(readFileSync(record, "utf8")) : {};
  let fewer = false;
  const lines = [...counts].map(([name, count]) => {
    const before = recorded[name] ?? 0;
    if (count < before) fewer = true;
    return `tests executed, ${name}: ${count}${count < before ? `, FEWER than the ${before} recorded` : ""}`;
  });
  return { lines, fewer };
}
