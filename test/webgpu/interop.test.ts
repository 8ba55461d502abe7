// The examples of other libraries on one GPU with a memory run as their users run them, with the packages that these install,
// and compute what they say.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { repository } from "../packaging/sample-project.js";
import { skip } from "./gpu.js";

/** What a program prints, in a project that has this package and the libraries of the tests. */
function printed(t: TestContext, program: string): string {
  const project = mkdtempSync(join(tmpdir(), "pageferry-interop-"));
  t.after(() => rmSync(project, { recursive: true, force: true }));
  cpSync(join(repository, "examples/interop"), project, { recursive: true });
  writeFileSync(join(project, "package.json"), JSON.stringify({ type: "module" }));
  mkdirSync(join(project, "node_modules"));
  symlinkSync(repository, join(project, "node_modules/pageferry"));
  for (const name of ["three", "typegpu", "webgpu"])
    symlinkSync(join(repository, "test/webgpu/node_modules", name), join(project, "node_modules", name));
  const { status, stdout, stderr } = spawnSync(process.execPath, [program], { cwd: project, encoding: "utf8" });
  assert.equal(status, 0, stderr);
  return stdout.trim();
}

test("a pipeline of TypeGPU squares a range of an array in place", { skip }, (t) => {
  // The elements around the range are as they were; the squares are those of f32.
  const squares = Array.from({ length: 65_536 }, (_, i) => Math.fround((65_536 + i) ** 2));
  const expected = `65534 65535 ${squares[0]} ${squares[1]}, ${squares.at(-2)} ${squares.at(-1)} 131072 131073`;
  assert.equal(printed(t, "typegpu.js"), expected);
});

test("a compute node of three.js halves a range of an array by way of its own buffer", { skip }, (t) => {
  assert.equal(printed(t, "three.js"), "998 999 0 0.5, 499 499.5 0 1");
});
