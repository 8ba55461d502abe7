/**
 * Replay of Linux's recorded runs, those without huge pages: reading the files, the operations, and the comparison of every
 * page's state after each.
 */

import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { conform } from "../src/cli/conform/conform.js";
import { processorTime } from "./clock.js";
import { expect, type Scenario } from "./scenario.js";

const FOLDER = fileURLToPath(new URL("../../test/fixtures/linux-traces/", import.meta.url));
const LEAST_OPERATIONS = 20_000;

export const replayed: Scenario = {
  name: "replay of recorded runs",
  async run({ smoke }) {
    const all = readdirSync(FOLDER).filter((name) => name.endsWith(".jsonl.gz") && !name.startsWith("H"));
    const files = (smoke ? all.slice(0, 8) : all).map((name) => FOLDER + name);
    expect(files.length > 0, `${FOLDER} holds no recorded run`);
    const samples: number[] = [];
    for (let round = -2; round < (smoke ? 1 : 7); round++) {
      let operations = 0;
      const began = processorTime();
      for (const file of files) {
        const { identical, operations: count, first } = await conform(file);
        expect(first === null && identical === count, `${file} is not answered as Linux answered it`);
        operations += count;
      }
      if (round >= 0) samples.push(operations / ((processorTime() - began) / 1000));
    }
    return [
      {
        row: "replay of recorded runs",
        unit: "operations/s",
        pageSize: 4096,
        samples,
        bounds: [{ of: "value", least: LEAST_OPERATIONS }],
      },
    ];
  },
};
