// A reporter for Node's test runner that fails a run in which nothing was tested: a filter that names no test, or a
// test file without a test, would otherwise count as a pass. A run of all tests of a device (PAGEFERRY_COUNTED is the name of
// their count) also says how many ran, and fails when fewer did than are recorded, if everything is there that they need
// (PAGEFERRY_REQUIRE_WEBGPU=1).

import { compareWithRecord } from "./tests-executed.js";

/** @param {AsyncIterable<import("node:test/reporters").TestEvent>} events */
export async function* testsRan(events) {
  let ran = 0;
  let skipped = 0;
  for await (const { type, data } of events) {
    if (type !== "test:pass" && type !== "test:fail") continue;
    if (data.name === data.file || data.name.endsWith(".test.js")) {
      // The runner reports a file under its own name when no test came out of it.
      if (type === "test:pass") yield failed(`${data.name} holds no test`);
    } else if (data.skip === undefined && data.details.type !== "suite") {
      ran += 1;
    } else if (data.skip !== undefined) skipped += 1;
  }
  const { PAGEFERRY_COUNTED: counted = "" } = process.env;
  // All tests of a device may be skipped, where it is missing.
  if (ran === 0 && (counted === "" || skipped === 0)) yield failed("no test ran");
  if (counted === "") return;
  const { lines, fewer } = compareWithRecord(new Map([[counted, ran]]));
  for (const line of lines) yield `pageferry: ${line}\n`;
  if (fewer && process.env["PAGEFERRY_REQUIRE_WEBGPU"] === "1")
    yield failed("fewer tests ran than test/webgpu/tests-executed.json has");
}

function failed(/** @type {string} */ message) {
  process.exitCode = 1;
  return `pageferry: ${message}\n`;
}

// eslint-disable-next-line import/no-default-export -- the form in which the runner takes a reporter
export default testsRan;
