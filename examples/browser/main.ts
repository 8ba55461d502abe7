/** The main job in a page: this program finds the data and serves it, and the page does the rest. */

import { runProgram } from "../program/program.js";
import type { Progress } from "../program/progress.js";
import { findWordVectors } from "../word-vectors/word-vectors.js";
import { readCommandLine, usage } from "./command-line.js";
import { servePage } from "./server.js";

await runProgram({ command: "npm run example:browser", fittingMemory: "", run });

async function run(args: readonly string[], progress: Progress, signal: AbortSignal): Promise<number> {
  const { help, data, port } = readCommandLine(args);
  if (help) {
    process.stdout.write(usage);
    return 0;
  }
  const server = await servePage(await findWordVectors(data, progress, signal), port);
  process.stdout.write(`open ${server.address} in a browser; Ctrl-C ends\n`);
  // The way in which this program ends.
  if (!signal.aborted) await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
  await server.close();
  return 0;
}
