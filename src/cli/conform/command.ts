/**
 * `pageferry conform FILE...`: replays runs of Linux and reports, file by file, the first difference, and last how many
 * operations were identical. Exit code 0 when all were, 1 when not, 2 when a file is no trace.
 */

import { conform } from "./conform.js";
import { describe } from "./difference.js";
import { TraceError } from "./trace-error.js";

export interface Output {
  readonly out: (line: string) => void;
  readonly error: (line: string) => void;
}

export async function conformCommand(files: readonly string[], { out, error }: Output): Promise<number> {
  let [operations, identical, replayed, broken] = [0, 0, 0, 0];
  for (const file of files) {
    try {
      const result = await conform(file);
      replayed++;
      operations += result.operations;
      identical += result.identical;
      if (result.first !== null) out(`${file}: ${result.first.where}: ${describe(result.first)}`);
    } catch (thrown) {
      if (!(thrown instanceof TraceError)) throw thrown;
      broken++;
      error(`pageferry: ${thrown.message}`);
    }
  }
  out(`${identical} of ${operations} operations identical in ${replayed} files`);
  if (broken > 0) return 2;
  return identical === operations ? 0 : 1;
}
