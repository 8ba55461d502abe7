// The API reference, docs/api, made from the docstrings by TypeDoc. Without options it is written anew; with --check it
// fails when it is not what the sources say. Either fails when an export has no docstring. TypeDoc reads the sources with
// the last compiler that has an interface for it, which the tools bring.

import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fail, report, root, run, tool } from "./installed-package.js";

/** Flags and fields, most of them constants that one comment explains together: their names are Linux's. */
const NOT_REQUIRED = "mm";

const folder = mkdtempSync(join(tmpdir(), "pageferry-api-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
const reference = join(root, "docs", "api");
const checking = process.argv.includes("--check");
const out = checking ? join(folder, "api") : reference;
const options = ["--options", join(root, "test", "packaging", "tools", "typedoc.json")];
const json = join(folder, "api.json");
run(
  "API reference",
  root,
  process.execPath,
  tool("typedoc", "bin", "typedoc"),
  ...options,
  "--out",
  out,
  "--json",
  json,
);

/** @typedef {{ name: string, variant: string, comment?: object, signatures?: Reflection[], children?: Reflection[] }} Reflection */
/** @type {{ children: Reflection[] }} */
const { children: entries } = JSON.parse(readFileSync(json, "utf8"));
const bare = entries
  .filter((entry) => entry.name !== NOT_REQUIRED)
  .flatMap((entry) => (entry.children ?? []).filter(isBare).map(({ name }) => `${entry.name}: ${name}`));
if (bare.length > 0) fail(`exports without a docstring: ${bare.join(", ")}`);
report(`every export has a docstring, save for those of ${NOT_REQUIRED}: ok`);

if (checking) {
  const made = filesOf(out);
  const kept = filesOf(reference);
  const stale = [...new Set([...made.keys(), ...kept.keys()])].filter((file) => made.get(file) !== kept.get(file));
  if (stale.length > 0) fail(`docs/api is stale (npm run docs writes it anew): ${stale.join(", ")}`);
  report("docs/api is what the sources say: ok");
}

/** @returns {boolean} */
function isBare(/** @type {Reflection} */ { variant, comment, signatures }) {
  if (variant === "reference" || comment !== undefined) return false;
  return !(signatures ?? []).some((signature) => signature.comment !== undefined);
}

/** Text by path. */
function filesOf(/** @type {string} */ place) {
  const paths = existsSync(place) ? readdirSync(place, { recursive: true, encoding: "utf8" }) : [];
  const files = paths.filter((path) => path.endsWith(".md"));
  return new Map(files.map((path) => [path, readFileSync(join(place, path), "utf8")]));
}
