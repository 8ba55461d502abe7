/** What a memory has moved, as a table for people. */

import type { Stats } from "../../src/index.js";
import { count, memorySize } from "./sizes.js";

/** Pages are those that changed place; bytes those really copied, which may be fewer. */
export function migrationTable({ migrations, droppedClean, evictions, faults }: Stats): string[] {
  const line = (what: string, cause: string, pages: string, bytes = ""): string =>
    `${what.padEnd(14)}${cause.padEnd(12)}${pages.padStart(10)}${bytes.padStart(12)}`.trimEnd();
  const moved = (
    direction: string,
    causes: Stats["migrations"]["toDevice"] | Stats["migrations"]["toHost"],
  ): string[] =>
    Object.entries(causes).map(([cause, { pages, bytes }], i) =>
      line(i === 0 ? direction : "", cause, count(pages), memorySize(bytes)),
    );
  return [
    line("migrations", "cause", "pages", "copied"),
    ...moved("to device", migrations.toDevice),
    ...moved("to host", migrations.toHost),
    `${line("dropped clean", "", count(droppedClean.pages))} of these, saving copies of ${memorySize(droppedClean.bytes)}`,
    line("evictions", "", count(evictions)),
    ...Object.entries(faults).map(([kind, number], i) => line(i === 0 ? "faults" : "", kind, count(number))),
  ];
}
