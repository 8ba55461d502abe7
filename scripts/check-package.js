// Checks the package as its users get it: the packed archive, not the checkout. publint and are-the-types-wrong read
// it; then it is installed into an empty project, which imports every export, runs the command, and compiles a first
// program with each kind of module resolution, the package's own declarations included (skipLibCheck false).

import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const bin = join(root, "node_modules", ".bin");
const { name, version, exports } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));

const firstProgram = `import { createUnifiedMemory } from "${name}";
const memory = await createUnifiedMemory();
const squares = memory.createArray("f32", 4);
await squares.write(Float32Array.of(1, 4, 9, 16));
const sum: number = (await squares.read()).reduce((total, square) => total + square, 0);
await memory.destroy();
if (sum !== 30) throw new Error(\`the squares add up to \${sum}, not 30\`);
`;

const strict = { target: "ES2023", strict: true, exactOptionalPropertyTypes: true, skipLibCheck: false, noEmit: true };
const compilers = {
  nodenext: { ...strict, module: "NodeNext" },
  bundler: { ...strict, module: "ESNext", moduleResolution: "Bundler", types: [] },
  "nodenext without the DOM": {
    ...strict,
    module: "NodeNext",
    lib: ["ES2023"],
    types: ["node"],
    typeRoots: [join(root, "node_modules", "@types")],
  },
};

const folder = realpathSync(mkdtempSync(join(tmpdir(), "pageferry-package-")));
try {
  run("pack", root, "npm", "pack", "--ignore-scripts", "--loglevel=error", "--pack-destination", folder);
  const archive = join(folder, `${name}-${version}.tgz`);
  run("publint", root, join(bin, "publint"), "run", archive, "--strict");
  run("are-the-types-wrong", root, join(bin, "attw"), archive, "--profile", "esm-only", "--no-emoji");

  const project = join(folder, "project");
  mkdirSync(project);
  write("package.json", JSON.stringify({ private: true, type: "module" }));
  run("install", project, "npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", archive);

  const specifiers = Object.keys(exports).map((subpath) => name + subpath.slice(1));
  write("import-all.js", importing(specifiers));
  run("import of every export", project, process.execPath, "import-all.js");
  run("the command", project, process.execPath, join("node_modules", ".bin", name), "--help");

  write("program.ts", firstProgram);
  for (const [resolution, compilerOptions] of Object.entries(compilers)) {
    write("tsconfig.json", JSON.stringify({ compilerOptions, files: ["program.ts"] }));
    run(`types, ${resolution}`, project, process.execPath, join(root, "node_modules/typescript/bin/tsc"), "-p", ".");
  }
  const emitting = { ...compilers.nodenext, noEmit: false };
  write("tsconfig.json", JSON.stringify({ compilerOptions: emitting, files: ["program.ts"] }));
  run("first program, compiled", project, process.execPath, join(root, "node_modules/typescript/bin/tsc"), "-p", ".");
  run("first program, run", project, process.execPath, "program.js");

  /** Writes a file of the empty project. */
  function write(/** @type {string} */ file, /** @type {string} */ text) {
    writeFileSync(join(project, file), text);
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}

/** A program that imports each of `specifiers` and fails when one has nothing in it. */
function importing(/** @type {string[]} */ specifiers) {
  const imports = specifiers.map((specifier) => {
    const attributes = specifier.endsWith(".json") ? ', { with: { type: "json" } }' : "";
    return `["${specifier}", await import("${specifier}"${attributes})],`;
  });
  return `for (const [specifier, module] of [${imports.join("\n")}]) {
  if (Object.keys(module).length === 0) throw new Error(specifier + " exports nothing");
}
`;
}

function run(
  /** @type {string} */ what,
  /** @type {string} */ cwd,
  /** @type {string} */ command,
  /** @type {string[]} */ ...args
) {
  const { status, error, stdout, stderr } = spawnSync(command, args, { cwd, encoding: "utf8" });
  if (status === 0) {
    process.stdout.write(`${what}: ok\n`);
    return;
  }
  process.stderr.write(`${stdout ?? ""}${stderr ?? ""}${error === undefined ? "" : `${error.message}\n`}`);
  rmSync(folder, { recursive: true, force: true });
  process.stderr.write(`pageferry: ${what} failed\n`);
  process.exit(1);
}
