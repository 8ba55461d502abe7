// Every program in the README and in docs/ is compiled and run as it stands there, and logs what the comments behind its
// `console.log` say, in their order (what has no comment may stand between). One
// that begins with its name, `// kernels.js` or `// worker.ts`, is a file beside the other programs of its page, and not run by itself. One
// that cannot be run is preceded by a comment `<!-- not run: REASON -->`, and is then a test that is skipped for that reason.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { repository } from "../packaging/sample-project.js";
import { skip as withoutTransparent } from "../transparent/setting.js";
import { skip as withoutGpu } from "../webgpu/gpu.js";

interface Example {
  /** File and line. */
  readonly place: string;
  readonly language: string;
  readonly code: string;
  /** Why it is not run; undefined if it is. */
  readonly notRun: string | undefined;
  /** Modules that are loaded before it. */
  readonly modules: readonly string[];
  /** Files of its page, by name. */
  readonly beside: ReadonlyMap<string, string>;
}

function examplesOf(file: string): Example[] {
  const text = readFileSync(join(repository, file), "utf8");
  const blocks = text.matchAll(
    /(?:^<!-- not run: (.+) -->\n+)?^```(ts|typescript|js|javascript|mjs)\b.*\n([^]*?)^```$/gm,
  );
  const beside = new Map<string, string>();
  const found: Example[] = [];
  for (const { 1: notRun, 2: language = "", 3: code = "", index } of blocks) {
    const name = /^\/\/ ([\w-]+\.[jt]s)\n/.exec(code)?.[1];
    if (name !== undefined) {
      beside.set(name, code);
      continue;
    }
    const isOnGpu = code.includes("pageferry/webgpu");
    const isTransparent = code.includes('cpuAccess: "transparent"');
    found.push({
      modules: [
        ...(isOnGpu ? [new URL("../webgpu/navigator.js", import.meta.url).href] : []),
        ...(isTransparent ? [new URL("../transparent/resolve-koffi.js", import.meta.url).href] : []),
      ],
      place: `${file}:${text.slice(0, index).split("\n").length}`,
      language: language.startsWith("t") ? "ts" : "js",
      code,
      notRun: notRun ?? ((isOnGpu && withoutGpu) || (isTransparent && withoutTransparent) || undefined),
      beside,
    });
  }
  return found;
}

/** docs/api is generated: its blocks are declarations. */
const files = ["README.md", ...readdirSync(join(repository, "docs")).map((file) => `docs/${file}`)].filter((file) =>
  file.endsWith(".md"),
);
const examples = files.flatMap(examplesOf);

/** Runs the code as a program of a user, to whom the package is known by its name. */
function run(t: TestContext, { language, code, beside, modules }: Example): string[] {
  mkdirSync(join(repository, "dist"), { recursive: true });
  const folder = mkdtempSync(join(repository, "dist", "example-"));
  t.after(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, `example.${language}`), code);
  for (const [name, text] of beside) writeFileSync(join(folder, name), text);
  if (language === "ts") {
    const typed = [...beside.keys()].filter((name) => name.endsWith(".ts"));
    const compilerOptions = { target: "ES2023", module: "NodeNext", strict: true, types: ["node"] };
    writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, files: ["example.ts", ...typed] }));
    node(folder, join(repository, "node_modules", "typescript", "bin", "tsc"), "--project", ".");
  }
  return node(folder, ...modules.map((module) => `--import=${module}`), "example.js")
    .split("\n")
    .slice(0, -1);
}

function node(cwd: string, ...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(process.execPath, args, {
    cwd,
    encoding: "utf8",
    env: { ...process.env, TMPDIR: cwd, TEMP: cwd, TMP: cwd },
  });
  assert.equal(status, 0, `${stdout}${stderr}`);
  return stdout;
}

/** A comment says the whole line, up to a colon, or how it begins, up to a comma. */
function says(comment: string, line: string | undefined): boolean {
  if (line === comment.split(":")[0]) return true;
  const [beginning = "", ...more] = comment.split(",");
  return more.length > 0 && (line === beginning || line?.startsWith(`${beginning} `) === true);
}

test("the README and the documentation have examples, and the README's are run", () => {
  assert.ok(examples.filter(({ place, notRun }) => place.startsWith("README.md:") && notRun === undefined).length >= 2);
});

for (const example of examples) {
  test(`the example at ${example.place} logs what its comments say`, { skip: example.notRun ?? false }, (t) => {
    const lines = run(t, example);
    const comments = Array.from(example.code.matchAll(/^console\.log\(.*; \/\/ (.*)$/gm), (match) => match[1] ?? "");
    let next = 0;
    for (const comment of comments) {
      while (next < lines.length && !says(comment, lines[next])) next++;
      assert.ok(next++ < lines.length, `no line, in this order, is what "${comment}" says, of:\n${lines.join("\n")}`);
    }
  });
}
