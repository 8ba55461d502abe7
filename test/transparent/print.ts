/** Prints a line at once: the main thread may wait for a page next, or the process end. */

import { writeSync } from "node:fs";

export function print(line: string): void {
  writeSync(1, `${line}\n`);
}
