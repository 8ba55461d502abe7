/**
 * The project's modules as a page can have them: `node:test` and `node:assert/strict` are ours, packages come from
 * `node_modules` by what their manifest exports to browsers. Names are replaced in the text that is served, because an import
 * map does not reach workers. A test file that imports anything else of Node, however indirectly, is for Node alone.
 */

import { existsSync, readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { dirname, join, posix } from "node:path";
import { fileURLToPath } from "node:url";

/** The project's folder. */
export const ROOT = dirname(dirname(dirname(dirname(fileURLToPath(import.meta.url)))));

/** Modules of Node that the tests use in a page too, and what stands for them there. */
const STAND_INS: ReadonlyMap<string, string> = new Map([
  ["node:test", "/dist/test/chromium/page/node-test.js"],
  ["node:assert/strict", "/dist/test/chromium/page/assert-strict.js"],
]);

/** Files of the tests that are Node's, and what pages get in their place. */
const COUNTERPARTS: ReadonlyMap<string, string> = new Map([
  ["dist/test/webgpu/gpu.js", "dist/test/chromium/page/gpu.js"],
]);

/** Tests of programs that are for Node, whatever they import. */
const NODE_PROGRAMS = ["dist/test/bench/", "dist/test/examples/", "dist/test/packaging/"];

/** Searches through the engine's own states, which are the same wherever it runs. They are run when asked for. */
const SEARCHES = [
  "dist/test/property/engine/",
  "dist/test/property/huge/",
  "dist/test/property/unified/random-arrays",
  "dist/test/access/user-mode/interleavings/",
];

/** Where packages are, within the project. */
const PACKAGE_FOLDERS = ["node_modules", "test/webgpu/node_modules"];

/** Of the names under which a package may export a file, those that a browser asks for. */
const CONDITIONS: ReadonlySet<string> = new Set(["browser", "import", "default"]);

/** `import ... from "NAME"`, `export ... from "NAME"`, `import "NAME"`, as the compiler and packages write them. */
const STATIC_IMPORT = /((?:^|[\n;}])\s*(?:(?:import|export)\b[^;"'`()=]*?\bfrom|import)\s*)"([^"\n]+)"/g;
/** `import("NAME")`. */
const DYNAMIC_IMPORT = /(\bimport\()"([^"\n]+)"(?=\))/g;

/** A module's text with addresses for the names of packages. Names that nothing stands for stay, and fail where they are loaded. */
function textForPage(text: string): string {
  const replace = (whole: string, before: string, specifier: string): string => {
    const address = isRelative(specifier) ? undefined : addressOf(specifier);
    return address === undefined ? whole : `${before}"${address}"`;
  };
  return text.replace(STATIC_IMPORT, replace).replace(DYNAMIC_IMPORT, replace);
}

/** Why a compiled test file is for Node alone: what it needs, itself or by what it imports. Null where it is for pages too. */
export function onlyForNode(file: string): string | null {
  if (NODE_PROGRAMS.some((folder) => file.startsWith(folder))) return "a program for Node";
  const seen = new Set([file]);
  for (const given of seen) {
    const path = COUNTERPARTS.get(given) ?? given;
    const text = readFileSync(join(ROOT, path), "utf8");
    for (const [, , specifier] of [...text.matchAll(STATIC_IMPORT), ...text.matchAll(DYNAMIC_IMPORT)]) {
      if (isRelative(specifier)) seen.add(posix.join(posix.dirname(path), specifier));
      else if (addressOf(specifier) === undefined) return specifier;
    }
  }
  return null;
}

/** Is it left out of a run of everything? */
export function isLongSearch(file: string): boolean {
  return SEARCHES.some((folder) => file.startsWith(folder));
}

/** The text of a compiled file that a page gets; null where there is no such file. */
export async function scriptForPage(path: string): Promise<string | null> {
  const counterpart = COUNTERPARTS.get(path);
  if (counterpart !== undefined) return `export * from "/${counterpart}";\n`;
  const text = await readFile(join(ROOT, path), "utf8").catch(() => null);
  return text === null ? null : textForPage(text);
}

/** Where a page finds a module that is imported by its name, or undefined. */
function addressOf(specifier: string): string | undefined {
  const standIn = STAND_INS.get(specifier);
  if (standIn !== undefined || specifier.startsWith("node:")) return standIn;
  const [, name, rest] = /^(@[^/]+\/[^/]+|[^/]+)(\/.*)?$/.exec(specifier) ?? [];
  if (name === undefined) return undefined;
  const folder = PACKAGE_FOLDERS.map((packages) => `${packages}/${name}`).find((path) =>
    existsSync(join(ROOT, path, "package.json")),
  );
  if (folder === undefined) return undefined;
  const { exports, module, main } = JSON.parse(readFileSync(join(ROOT, folder, "package.json"), "utf8")) as Manifest;
  const entry = `.${rest ?? ""}`;
  const target = exports === undefined ? (rest === undefined ? (module ?? main) : entry) : exported(exports, entry);
  return target === undefined ? undefined : posix.join("/", folder, target);
}

interface Manifest {
  readonly exports?: Exports;
  readonly module?: string;
  readonly main?: string;
}

type Exports = string | { readonly [entryOrCondition: string]: Exports };

function exported(exports: Exports, entry: string): string | undefined {
  const hasEntries = typeof exports !== "string" && Object.keys(exports).some((key) => key.startsWith("."));
  if (typeof exports === "string" || !hasEntries) return entry === "." ? byCondition(exports) : undefined;
  const [whole] = Object.keys(exports).filter((key) => key === entry);
  if (whole !== undefined) return byCondition(exports[whole]);
  for (const [pattern, target] of Object.entries(exports)) {
    const [before, after] = pattern.split("*");
    if (after === undefined || !entry.startsWith(before) || !entry.endsWith(after)) continue;
    return byCondition(target)?.replace("*", entry.slice(before.length, entry.length - after.length));
  }
  return undefined;
}

function byCondition(target: Exports): string | undefined {
  if (typeof target === "string") return target;
  for (const [condition, inner] of Object.entries(target)) {
    const found = CONDITIONS.has(condition) ? byCondition(inner) : undefined;
    if (found !== undefined) return found;
  }
  return undefined;
}

function isRelative(specifier: string): boolean {
  return specifier.startsWith(".") || specifier.startsWith("/");
}
