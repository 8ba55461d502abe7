// The check of the import graph finds each kind of violation, tried on a small tree that breaks one rule at a time.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { TestContext } from "node:test";
import { SampleProject } from "./sample-project.js";

const sound: Record<string, string> = {
  "package.json": JSON.stringify({
    type: "module",
    exports: { ".": { default: "./dist/src/index.js" }, "./mm": { default: "./dist/src/mm/index.js" } },
    dependencies: { listed: "1.0.0" },
    peerDependencies: { optional: "1.0.0", needed: "1.0.0" },
    peerDependenciesMeta: { optional: { optional: true } },
  }),
  "src/index.ts": 'export * from "./unified/memory.js";\n',
  "src/cli/main.ts": 'import { readFileSync } from "node:fs";\nimport "../index.js";\n',
  "src/unified/memory.ts": 'import { copy } from "../mm/index.js";\nimport "listed";\n',
  "src/mm/index.ts": 'import type {\n  Counter,\n} from "../trace/counter.js";\n// import "node:fs"\n',
  "src/trace/counter.ts":
    'export interface Counter {}\nconst LATER = "optional";\nawait import(/* webpackIgnore: true */ LATER);\n',
  "examples/nearest-words/reference.ts": 'import { readFileSync } from "node:fs";\n',
};

function check(context: TestContext, changes: Record<string, string>) {
  const project = new SampleProject(context, { ...sound, ...changes });
  return project.node("scripts/check-layers.js", project.root);
}

test("a tree that keeps the rules passes", (context) => {
  assert.deepEqual(check(context, {}), { code: 0, stdout: "5 files of src/ keep to their layers\n", stderr: "" });
});

describe("the check names", () => {
  const violations: [what: string, changes: Record<string, string>, complaint: string][] = [
    [
      "an import that points up",
      { "src/mm/index.ts": 'import { a } from "../unified/memory.js";\n' },
      "src/mm/index.ts imports src/unified/memory.ts: mm is below unified\n",
    ],
    [
      "an import of types that points up",
      { "src/mm/index.ts": 'import type { A } from "../unified/memory.js";\n' },
      "src/mm/index.ts imports src/unified/memory.ts: mm is below unified\n",
    ],
    [
      "a re-export over several lines that points up",
      { "src/mm/index.ts": 'export {\n  a,\n} from "../unified/memory.js";\n' },
      "src/mm/index.ts imports src/unified/memory.ts: mm is below unified\n",
    ],
    [
      "a worker that is started from below",
      { "src/mm/index.ts": 'const worker = new URL("../unified/memory.js", import.meta.url);\n' },
      "src/mm/index.ts imports src/unified/memory.ts: mm is below unified\n",
    ],
    [
      "an import by the observer of all layers",
      { "src/trace/counter.ts": 'import { a } from "../mm/index.js";\n' },
      "src/trace/counter.ts imports src/mm/index.ts: trace imports no layer\n",
    ],
    [
      "a use of the face from within",
      { "src/unified/memory.ts": 'import { a } from "../index.js";\n' },
      "src/unified/memory.ts imports src/index.ts: unified is below index.ts\n",
    ],
    [
      "a folder that is no layer",
      { "src/utils/a.ts": "", "src/mm/index.ts": 'import "../utils/a.js";\n' },
      "src/mm/index.ts imports src/utils/a.ts, which is in no layer\n",
    ],
    [
      "a package that is not declared",
      { "src/cli/main.ts": 'import { a } from "@scope/unlisted/sub";\n' },
      "src/cli/main.ts imports @scope/unlisted/sub, which is not among the dependencies\n",
    ],
    [
      "a package that the caller has to bring",
      { "src/cli/main.ts": 'const NEEDED = "needed";\nawait import(/* @vite-ignore */ NEEDED);\n' },
      "src/cli/main.ts imports needed, which is not among the dependencies\n",
    ],
    [
      "an optional package that is needed at once",
      { "src/cli/main.ts": 'import { a } from "optional";\n' },
      "src/cli/main.ts imports optional, an optional peer, which may be missing: only import() can say so\n",
    ],
    [
      "a way from a browser's entry to a Node module, through every file between",
      { "src/mm/index.ts": 'const { cpus } = await import("node:os");\n' },
      "the export . reaches node:os: src/index.ts > src/unified/memory.ts > src/mm/index.ts\n" +
        "the export ./mm reaches node:os: src/mm/index.ts\n",
    ],
    [
      "a judge that depends on what it judges",
      { "examples/nearest-words/reference.ts": 'import { a } from "../../src/index.js";\n' },
      "examples/nearest-words/reference.ts depends on src/: examples/nearest-words/reference.ts > src/index.ts\n" +
        "examples/nearest-words/reference.ts depends on src/: " +
        "examples/nearest-words/reference.ts > src/index.ts > src/unified/memory.ts\n" +
        "examples/nearest-words/reference.ts depends on src/: " +
        "examples/nearest-words/reference.ts > src/index.ts > src/unified/memory.ts > src/mm/index.ts\n" +
        "examples/nearest-words/reference.ts depends on src/: " +
        "examples/nearest-words/reference.ts > src/index.ts > src/unified/memory.ts > src/mm/index.ts > src/trace/counter.ts\n",
    ],
    [
      "an export without a source",
      {
        "package.json": JSON.stringify({
          type: "module",
          exports: { "./gone": "./dist/src/gone.js" },
          dependencies: { listed: "1.0.0" },
          peerDependenciesMeta: { optional: { optional: true } },
        }),
      },
      "src/gone.ts does not exist\n",
    ],
  ];
  for (const [what, changes, complaint] of violations) {
    test(what, (context) => {
      assert.deepEqual(check(context, changes), { code: 1, stdout: "", stderr: complaint });
    });
  }
});
