/**
 * Runs the test file that the page's address names, and tells the program outside, test by test. A page reports `done` once,
 * when all that the file registered has run, or with an error when the file could not be imported; whatever is thrown
 * elsewhere on it is the page's own error, which the program hears of without us.
 */

import { describeError, runTests, type TestOutcome } from "./node-test.js";

/** What a page tells. */
export type Report =
  | { readonly kind: "begun"; readonly path: readonly string[] }
  | ({ readonly kind: "ended" } & TestOutcome)
  | { readonly kind: "diagnostic"; readonly path: readonly string[]; readonly message: string }
  | { readonly kind: "done"; readonly error?: string };

interface Page {
  readonly location: { readonly search: string };
  /** Given by the program outside. */
  readonly pageferryReport?: (report: Report) => Promise<void>;
  readonly scheduler: { postTask(task: () => void, options: { priority: "background" }): Promise<void> };
  setImmediate?: (task: () => void) => void;
}

const page = globalThis as unknown as Page;
page.setImmediate = runLater;
const tell = async (report: Report): Promise<void> => {
  await page.pageferryReport?.(report);
};
await tell(await run(new URLSearchParams(page.location.search).get("file") ?? ""));

async function run(file: string): Promise<Report> {
  try {
    await import(file);
  } catch (error) {
    return { kind: "done", error: describeError(error) };
  }
  await runTests({
    begun: (path) => void tell({ kind: "begun", path }),
    ended: (outcome) => void tell({ kind: "ended", ...outcome }),
    diagnostic: (path, message) => void tell({ kind: "diagnostic", path, message }),
  });
  // Promises that were rejected with nobody to hear it are reported by then.
  await new Promise<void>(runLater);
  return { kind: "done" };
}

/** Runs a task when everything that waits now has had its turn, modules that are being imported too; as `setImmediate` in Node. */
function runLater(task: () => void): void {
  void page.scheduler.postTask(task, { priority: "background" });
}
