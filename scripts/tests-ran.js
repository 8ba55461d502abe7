// A reporter for Node's test runner that fails a run in which nothing was tested: a filter that names no test, or a
// test file without a test, would otherwise count as a pass.

/** @param {AsyncIterable<import("node:test/reporters").TestEvent>} events */
export async function* testsRan(events) {
  let ran = 0;
  for await (const { type, data } of events) {
    if (type !== "test:pass" && type !== "test:fail") continue;
    if (data.name === data.file || data.name.endsWith(".test.js")) {
      // The runner reports a file under its own name when no test came out of it.
      if (type === "test:pass") yield failed(`${data.name} holds no test`);
    } else if (data.skip === undefined && data.details.type !== "suite") {
      ran += 1;
    }
  }
  if (ran === 0) yield failed("no test ran");
}

function failed(/** @type {string} */ message) {
  process.exitCode = 1;
  return `pageferry: ${message}\n`;
}

// eslint-disable-next-line import/no-default-export -- the form in which the runner takes a reporter
export default testsRan;
