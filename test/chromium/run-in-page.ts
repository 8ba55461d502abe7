/** Runs one compiled test file on a page of its own, as Node does in a process of its own, and collects what it tells. */

import type { Context } from "./browser.js";
import type { TestOutcome } from "./page/node-test.js";
import type { Report } from "./page/run-file.js";

/** A page that tells nothing for so long hangs. */
const SILENCE = 600_000;

export interface FileOutcome {
  readonly file: string;
  readonly tests: readonly TestOutcome[];
  readonly diagnostics: readonly { readonly path: readonly string[]; readonly message: string }[];
  /** What went wrong outside of any test. */
  readonly errors: readonly string[];
}

/** `file` is a path from the project's folder; `settings` are what `setting` gives the tests. */
export async function runInPage(
  context: Pick<Context, "newPage">,
  origin: string,
  file: string,
  settings: Readonly<Record<string, string>>,
): Promise<FileOutcome> {
  const tests: TestOutcome[] = [];
  const diagnostics: { path: readonly string[]; message: string }[] = [];
  const errors: string[] = [];
  const running = new Set<string>();
  const page = await context.newPage();
  try {
    await new Promise<void>((resolve) => {
      const end = (error?: string): void => {
        if (error !== undefined) errors.push(error);
        clearTimeout(silence);
        resolve();
      };
      const silence = setTimeout(
        () => end(`nothing was heard for ${SILENCE / 1000} s while ${[...running].join(", ") || "no test"} ran`),
        SILENCE,
      );
      const hear = (report: Report): void => {
        silence.refresh();
        if (report.kind === "done") return end(report.error);
        const name = report.path.join(" > ");
        if (report.kind === "begun") running.add(name);
        else if (report.kind === "diagnostic") diagnostics.push(report);
        else {
          running.delete(name);
          tests.push(report);
        }
      };
      page.on("pageerror", (error) => errors.push(error.stack || String(error)));
      page.on("crash", () => end(`the page crashed while ${[...running].join(", ") || "no test"} ran`));
      const address = new URLSearchParams({ ...settings, file: `/${file}` });
      page
        .exposeFunction("pageferryReport", hear)
        .then(() => page.goto(`${origin}/page?${address.toString()}`))
        .catch((error: Error) => end(error.message));
    });
  } finally {
    await page.close();
  }
  return { file, tests, diagnostics, errors };
}
