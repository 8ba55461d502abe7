// Reads what the main job prints with --json and fails unless it is one object that answers the words of the command
// line and that the independent reference agreed with.
//
// npm start --silent -- --demo --json WORD | node scripts/check-verdict.js WORD

import { readFileSync } from "node:fs";

const words = process.argv.slice(2);
const { queries, verified } = JSON.parse(readFileSync(0, "utf8"));
const answered = queries.map((/** @type {{ word: string }} */ query) => query.word);
if (words.length === 0 || words.join(" ") !== answered.join(" ")) {
  fail(`asked for ${words.join(" ") || "no word"}, answered ${answered.join(" ") || "none"}`);
}
for (const { word, neighbours } of queries) {
  if (neighbours.length === 0) fail(`${word} has no neighbours`);
}
if (verified !== true) fail(`verified is ${JSON.stringify(verified)}, not true`);
process.stdout.write(`${queries.length} answered, verified\n`);

/** @returns {never} */
function fail(/** @type {string} */ message) {
  process.stderr.write(`pageferry: ${message}\n`);
  process.exit(1);
}
