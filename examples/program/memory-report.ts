/** What a memory has moved, and on which device: for people and for programs. */

import type { Stats } from "../../src/index.js";
import type { ChosenDevice } from "./device.js";
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

export function deviceLine({ why }: ChosenDevice, { device, pageSize }: Stats): string {
  return `device: ${device.name}, pages of ${memorySize(pageSize)}: ${why}`;
}

/** The members `device` and `migrations` of what `--json` prints; `time` is in milliseconds. */
export function memoryJson(
  { why }: ChosenDevice,
  { device, pageSize, migrations, droppedClean, evictions, faults }: Stats,
  time: Readonly<Record<string, number>>,
): object {
  return {
    device: { ...device, pageSize, why },
    migrations: { ...migrations, droppedClean, evictions, faults, time },
  };
}
