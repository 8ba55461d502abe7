/**
 * The benchmark: `npm run bench [-- --smoke] [--filter TEXT] [--json]`. Each scenario runs in a process of its own; a
 * wrong result fails the whole run, and so does a row over its bound, unless the sizes are those of a smoke run.
 */

import { fork } from "node:child_process";
import { cpus } from "node:os";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { type Figure, judge } from "./figure.js";
import { SEED } from "./permutation.js";
import type { Answer, Order } from "./scenario-process.js";
import { SCENARIOS } from "./scenarios.js";
import { formatTable } from "./table.js";

const USAGE = `usage: npm run bench -- [--smoke] [--filter TEXT] [--json]

  --smoke         small sizes: results are checked, bounds are printed and not enforced
  --filter TEXT   only scenarios whose name contains TEXT
  --json          one JSON object instead of the table`;

const PROCESS = fileURLToPath(new URL("scenario-process.js", import.meta.url));

function perform(order: Order): Promise<Answer> {
  return new Promise((resolve) => {
    const child = fork(PROCESS, [], { execArgv: ["--expose-gc"], serialization: "advanced" });
    let answer: Answer | undefined;
    child.on("message", (message) => (answer = message as Answer));
    child.on("error", (error) => resolve({ wrong: error.message }));
    child.on("exit", (code, signal) =>
      resolve(answer ?? { wrong: `the process ended with ${signal ?? `exit code ${code}`}` }),
    );
    child.send(order);
  });
}

async function main(): Promise<number> {
  const { smoke, filter, json } = options();
  const chosen = SCENARIOS.filter(({ name }) => name.toLowerCase().includes(filter.toLowerCase()));
  if (chosen.length === 0) {
    process.stderr.write(
      `no scenario's name contains ${JSON.stringify(filter)}:\n${SCENARIOS.map(({ name }) => `  ${name}\n`).join("")}`,
    );
    return 2;
  }
  const figures: Figure[] = [];
  const wrong: string[] = [];
  const notMeasured: string[] = [];
  for (const { name } of chosen) {
    process.stderr.write(`${name} ...\n`);
    const answer = await perform({ name, smoke });
    if ("wrong" in answer) wrong.push(`${name}: ${answer.wrong}`);
    else if ("notMeasured" in answer) notMeasured.push(`${name}: ${answer.notMeasured}`);
    else figures.push(...answer.figures);
  }
  const rows = figures.map(judge);
  const missed = rows.filter(({ bounds }) => bounds.some(({ kept }) => !kept)).map(({ row }) => row);
  const machine = { node: process.version, processor: cpus()[0]?.model ?? "unknown", processors: cpus().length };
  if (json) console.log(JSON.stringify({ ...machine, seed: SEED, smoke, rows, missed, notMeasured, wrong }, null, 2));
  else {
    const { node, processor, processors } = machine;
    console.log(`node ${node}, ${processors} x ${processor}, processor time, seed ${SEED}\n`);
    console.log(formatTable(rows, !smoke));
    const verdict = smoke ? "smoke run: bounds are not judged" : `${missed.length} over their bounds`;
    console.log(`\n${rows.length} rows, ${verdict}`);
    for (const what of notMeasured) console.log(`NOT MEASURED: ${what}`);
    for (const what of wrong) console.log(`WRONG RESULT: ${what}`);
  }
  return wrong.length > 0 || (missed.length > 0 && !smoke) ? 1 : 0;
}

function options(): { smoke: boolean; filter: string; json: boolean } {
  try {
    const { values } = parseArgs({
      options: {
        smoke: { type: "boolean", default: false },
        filter: { type: "string", default: "" },
        json: { type: "boolean", default: false },
      },
    });
    return values;
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n\n${USAGE}\n`);
    process.exit(2);
  }
}

process.exitCode = await main();
