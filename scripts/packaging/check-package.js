// Checks the package as its users install it. publint and are-the-types-wrong read the archive; then, in an empty
// project, programs that use it compile with each kind of module resolution, each compiler and as few global types as
// each entry needs, the package's own declarations included (skipLibCheck false); every export is imported, the command
// started and a first program run, by this Node, the lowest that is supported, and the newest.

import { join } from "node:path";
import { fail, name, nodeAt, pack, Project, report, root, run, runAll, specifiers, tool } from "./installed-package.js";

const firstProgram = `import { createUnifiedMemory } from "${name}";
const memory = await createUnifiedMemory();
const squares = memory.createArray("f32", 4);
await squares.write(Float32Array.of(1, 4, 9, 16));
const sum: number = (await squares.read()).reduce((total, square) => total + square, 0);
await memory.destroy();
if (sum !== 30) throw new Error(\`the squares add up to \${sum}, not 30\`);
`;
const modules = specifiers.filter((specifier) => !specifier.endsWith(".json"));
const everyEntry = modules.map((specifier, i) => `export * as entry${i} from "${specifier}";\n`).join("");
/** What knows neither Node nor the DOM. */
const engine = ["mm", "migrate", "trace"].map((entry) => `export * as ${entry} from "${name}/${entry}";\n`).join("");

const strict = { target: "ES2023", strict: true, exactOptionalPropertyTypes: true, skipLibCheck: false, noEmit: true };
const nodenext = { ...strict, module: "NodeNext" };
const bundler = { ...strict, module: "ESNext", moduleResolution: "Bundler" };
const nodeTypes = { lib: ["ES2023"], types: ["node"], typeRoots: [join(root, "node_modules", "@types")] };
/** @type {[what: string, files: string[], compilerOptions: object][]} */
const compilations = [
  ["nodenext, with the DOM and without Node", ["program.ts", "every-entry.ts"], { ...nodenext, types: [] }],
  ["bundler, with the DOM and without Node", ["program.ts", "every-entry.ts"], { ...bundler, types: [] }],
  ["nodenext, with Node and without the DOM", ["program.ts", "every-entry.ts"], { ...nodenext, ...nodeTypes }],
  ["bundler, with Node and without the DOM", ["program.ts", "every-entry.ts"], { ...bundler, ...nodeTypes }],
  ["nodenext, the engine with neither", ["engine.ts"], { ...nodenext, lib: ["ES2023"], types: [] }],
  ["bundler, the engine with neither", ["engine.ts"], { ...bundler, lib: ["ES2023"], types: [] }],
];
const compilers = [join(root, "node_modules", "typescript", "bin", "tsc"), tool("typescript", "bin", "tsc")].map(
  (path) => ({ path, version: run("compiler", root, process.execPath, path, "--version").trim() }),
);

const archive = pack();
const bin = join(root, "node_modules", ".bin");
run("publint", root, join(bin, "publint"), "run", archive, "--strict");
run("are-the-types-wrong", root, join(bin, "attw"), archive, "--profile", "esm-only", "--no-emoji");

const project = new Project(archive);
project.write("program.ts", firstProgram);
project.write("every-entry.ts", everyEntry);
project.write("engine.ts", engine);
const compiled = compilations.map(([what, files, compilerOptions], n) => {
  const config = project.write(`tsconfig.${n}.json`, JSON.stringify({ compilerOptions, files }));
  return { what, config };
});
await runAll(
  compilers.flatMap(({ path, version }) =>
    compiled.map(({ what, config }) => ({
      what: `types, ${version}, ${what}`,
      cwd: project.root,
      command: process.execPath,
      args: [path, "-p", config],
    })),
  ),
);

const [compiler = fail("there is no compiler")] = compilers;
const emitting = { ...nodenext, types: [], noEmit: false };
project.write("tsconfig.json", JSON.stringify({ compilerOptions: emitting, files: ["program.ts"] }));
project.run("first program, compiled", process.execPath, compiler.path, "-p", ".");
project.write("import-all.js", importing(specifiers));
for (const node of [process.execPath, nodeAt("oldest"), nodeAt("newest")]) {
  const version = run("node", root, node, "--version").trim();
  project.run(`${version}, import of every export`, node, "import-all.js");
  project.run(`${version}, the command`, node, join("node_modules", ".bin", name), "--help");
  project.run(`${version}, first program`, node, "program.js");
}
report(`${name} installs, compiles and runs`);

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
