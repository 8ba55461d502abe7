// Checks the import graph of src/ against the architecture:
//   - imports point down only: cli > index.ts, worker.ts > npy > unified > struct > access > device > migrate > mm;
//     trace is imported by any of them and imports none;
//   - what a browser can import (every subpath export) reaches no Node module;
//   - packages outside are those that package.json declares as dependencies, and its optional peers by import() alone;
//   - the reference that judges the main job's answers shares no code with src/.
// Type imports count: a layer that needs the types of the one above is not below it.
//
// node scripts/check-layers.js [ROOT]

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { isBuiltin } from "node:module";
import { dirname, join, posix, relative, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";

const root = resolve(process.argv[2] ?? dirname(dirname(fileURLToPath(import.meta.url))));

const layersFromTheTop = [
  "cli",
  "index.ts",
  "worker.ts",
  "npy",
  "unified",
  "struct",
  "access",
  "device",
  "migrate",
  "mm",
];
/** Imported by any layer, imports none. */
const observer = "trace";
/** Subpath exports that exist for Node alone. */
const exportsForNode = ["./package.json"];
/** The judges in examples/ must not depend on src/, for they judge what it computes. */
const judgeName = "reference.ts";

const STATIC_IMPORTS = [/^(?:import|export)\s[^"';]*?\bfrom\s*["']([^"']+)["']/gm, /^import\s*["']([^"']+)["']/gm];
const IMPORTS_ON_DEMAND = [
  /\bimport\(\s*["']([^"']+)["']/g,
  /\bnew URL\(\s*["'](\.[^"']+\.js)["'],\s*import\.meta\.url/g,
];
/** The package's name in a constant, so that bundlers do not look for it. */
const IMPORT_OF_CONSTANT = /\bimport\(\s*(?:\/\*[^*]*\*\/\s*)*([A-Z_]+)\s*\)/g;

/** @type {string[]} */
const complaints = [];
const {
  exports = {},
  dependencies = {},
  peerDependenciesMeta = {},
} = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
const sources = sourcesUnder("src");
if (sources.length === 0) complaints.push("src/ holds no source");

for (const file of sources) {
  for (const specifier of importsOf(file)) {
    if (!specifier.startsWith(".")) checkPackage(file, specifier);
    else checkDirection(file, resolveImport(file, specifier));
  }
}
for (const [subpath, target] of Object.entries(exports)) {
  if (!exportsForNode.includes(subpath)) checkBrowserEntry(subpath, target.default ?? target);
}
for (const example of readdirSync(join(root, "examples"))) {
  const path = `examples/${example}/${judgeName}`;
  if (existsSync(join(root, path))) checkIndependence(path);
}

for (const complaint of complaints) process.stderr.write(`${complaint}\n`);
if (complaints.length > 0) process.exit(1);
process.stdout.write(`${sources.length} files of src/ keep to their layers\n`);

function checkPackage(/** @type {string} */ file, /** @type {string} */ specifier) {
  const name = specifier.split("/", specifier.startsWith("@") ? 2 : 1).join("/");
  if (isBuiltin(specifier) || name in dependencies) return;
  if (peerDependenciesMeta[name]?.optional !== true) {
    complaints.push(`${file} imports ${specifier}, which is not among the dependencies`);
  } else if (importsOf(file, STATIC_IMPORTS).includes(specifier)) {
    complaints.push(`${file} imports ${specifier}, an optional peer, which may be missing: only import() can say so`);
  }
}

function checkDirection(/** @type {string} */ importer, /** @type {string} */ imported) {
  const from = layerOf(importer);
  const to = layerOf(imported);
  if (!isLayer(from)) {
    complaints.push(`${importer} is in no layer`);
  } else if (!isLayer(to)) {
    complaints.push(`${importer} imports ${imported}, which is in no layer`);
  } else if (from === to || to === observer) {
    return;
  } else if (from === observer) {
    complaints.push(`${importer} imports ${imported}: ${observer} imports no layer`);
  } else if (layersFromTheTop.indexOf(from) > layersFromTheTop.indexOf(to)) {
    complaints.push(`${importer} imports ${imported}: ${from} is below ${to}`);
  }
}

/** The first name below src/: a folder, or a file that stands there alone. */
function layerOf(/** @type {string} */ file) {
  return /^src\/([^/]+)/.exec(file)?.[1] ?? file;
}

function isLayer(/** @type {string} */ name) {
  return name === observer || layersFromTheTop.includes(name);
}

function checkBrowserEntry(/** @type {string} */ subpath, /** @type {string} */ target) {
  const entry = target.replace(/^\.\/dist\//, "").replace(/\.js$/, ".ts");
  for (const [file, importers] of reach(entry)) {
    for (const specifier of importsOf(file)) {
      if (isBuiltin(specifier)) {
        complaints.push(`the export ${subpath} reaches ${specifier}: ${[...importers, file].join(" > ")}`);
      }
    }
  }
}

function checkIndependence(/** @type {string} */ judge) {
  for (const [file, importers] of reach(judge)) {
    if (file.startsWith("src/")) complaints.push(`${judge} depends on src/: ${[...importers, file].join(" > ")}`);
  }
}

/** Every file that `entry` imports, directly or not, with the files that lead there. */
function reach(/** @type {string} */ entry) {
  /** @type {Map<string, string[]>} */
  const reached = new Map();
  if (!existsSync(join(root, entry))) {
    complaints.push(`${entry} does not exist`);
    return reached;
  }
  reached.set(entry, []);
  for (const [file, importers] of reached) {
    for (const specifier of importsOf(file)) {
      const next = specifier.startsWith(".") ? resolveImport(file, specifier) : undefined;
      if (next !== undefined && !reached.has(next)) reached.set(next, [...importers, file]);
    }
  }
  return reached;
}

function resolveImport(/** @type {string} */ importer, /** @type {string} */ specifier) {
  return posix.join(posix.dirname(importer), specifier.replace(/\.js$/, ".ts"));
}

/** What a file imports, re-exports, imports on demand, or starts as a worker. */
function importsOf(/** @type {string} */ file, forms = [...STATIC_IMPORTS, ...IMPORTS_ON_DEMAND]) {
  const path = join(root, file);
  if (!file.endsWith(".ts") || !existsSync(path)) return [];
  const text = readFileSync(path, "utf8").replace(IMPORT_OF_CONSTANT, (_, name, _at, /** @type {string} */ all) => {
    const [, specifier = name] = new RegExp(`\\bconst ${name} = ("[^"]+")`).exec(all) ?? [];
    return `import(${specifier})`;
  });
  return forms.flatMap((form) => [...text.matchAll(form)].map((match) => match[1] ?? ""));
}

function sourcesUnder(/** @type {string} */ folder) {
  const path = join(root, folder);
  if (!existsSync(path)) return [];
  return readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".ts"))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)).split(sep).join("/"))
    .toSorted();
}
