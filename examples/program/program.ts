/**
 * What the examples have in common as programs. Exit codes: 0 when the answer is verified, 1 when the reference
 * disagrees, 2 when the command line or the machine is in the way, with a sentence and no stack. A signal ends the job in
 * good order, a second one at once.
 */

import { MemoryError } from "../../src/index.js";
import { explain, JobFailure } from "./failure.js";
import { Progress } from "./progress.js";

export interface Program {
  /** What starts it. Ways out are written for `npm start`, and shown with this in its place. */
  readonly command: string;
  /** Options that fit when a budget or page size does not. */
  readonly fittingMemory: string;
  /** Resolves with the exit code. */
  readonly run: (args: readonly string[], progress: Progress, signal: AbortSignal) => Promise<number>;
}

const faultsShown = 5;

export async function runProgram({ command, fittingMemory, run }: Program): Promise<void> {
  const progress = new Progress(process.stderr);
  const interruption = new AbortController();

  const report = (failure: JobFailure, done?: () => void): void => {
    progress.stop();
    const ways = failure.waysOut.map((way) => `  ${way.replace(/\bnpm start\b/, command)}`);
    process.stderr.write([`pageferry: ${failure.message}`, ...ways, ""].join("\n"), done);
  };

  /** The memory's refusals (a budget too small for one step) are the user's to change, too. */
  const failureOf = (error: unknown): JobFailure => {
    if (error instanceof JobFailure) return error;
    if (interruption.signal.aborted) return interruption.signal.reason as JobFailure;
    if (error instanceof MemoryError && (error.code === "EINVAL" || error.code === "ENOMEM")) {
      const message = error.message.replace(`${error.code}: `, "");
      return new JobFailure(error.code, message, { waysOut: [`npm start -- ${fittingMemory}`], cause: error });
    }
    throw error;
  };

  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    // Whoever read our output has seen enough.
    if (error.code === "EPIPE") process.exit();
    const failure = explain(error, "cannot write to standard output");
    if (!(failure instanceof JobFailure)) throw error;
    // An exit code that was set would be overwritten when `run` ends.
    report(failure, () => process.exit(2));
  });
  // Where messages cannot be written there is nowhere to say so; the answer and the exit code still tell.
  process.stderr.on("error", () => {});
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.on(signal, () => {
      if (interruption.signal.aborted) process.exit(2);
      interruption.abort(new JobFailure("EINTR", "interrupted; nothing was left behind"));
    });
  }

  try {
    process.exitCode = await run(process.argv.slice(2), progress, interruption.signal);
  } catch (error) {
    report(failureOf(error));
    process.exitCode = 2;
  }
}

/** The exit code that the reference's faults call for; they are shown on standard error. */
export function judged(faults: readonly string[]): number {
  if (faults.length === 0) return 0;
  const more = faults.length - faultsShown;
  process.stderr.write(
    [
      "pageferry: the answer is wrong; the reference disagrees:",
      ...faults.slice(0, faultsShown).map((fault) => `  ${fault}`),
      ...(more > 0 ? [`  and ${more} more`] : []),
      "",
    ].join("\n"),
  );
  return 1;
}
