// The `pageferry` command as a user meets it: what it prints where, and its exit code.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { linesOf, recorded, trace, written } from "./traces.js";

const command = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));

function pageferry(...args: readonly string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [command, ...args], { encoding: "utf8" });
  return { status, stdout, stderr };
}

test("runs that are all identical give exit code 0 and one line", () => {
  const operations = recorded.slice(0, 2).reduce((sum, file) => sum + linesOf(file).length - 1, 0);
  const stdout = `${operations} of ${operations} operations identical in 2 files\n`;
  assert.deepEqual(pageferry("conform", ...recorded.slice(0, 2)), { status: 0, stdout, stderr: "" });
});

test("a difference gives exit code 1 and names operation, field, page and both answers; other files go on", (t) => {
  const store = { op: "store", p: 0, i: 2, v: 5, rc: 0 };
  const state = [{ p: 0, pm: "001001103001", d0: "00000200" }];
  const right = written(t, trace({ ...store, state }));
  const wrong = written(t, trace({ ...store, state: [{ ...state[0], d0: "00000100" }] }, store));
  assert.deepEqual(pageferry("conform", wrong, right), {
    status: 1,
    stdout: `${wrong}: operation 1 (store p=0 i=2 v=5): d0, process 0, page 2: expected 01, got 02
1 of 3 operations identical in 2 files
`,
    stderr: "",
  });
});

test("a file that is no trace gives exit code 2 and one line on standard error; other files go on", (t) => {
  const broken = written(t, "hello\n");
  const right = written(t, trace({ op: "load", p: 0, i: 0, rc: 0, value: 0 }));
  assert.deepEqual(pageferry("conform", broken, right, `${broken}.gone`), {
    status: 2,
    stdout: "1 of 1 operations identical in 1 files\n",
    stderr: `pageferry: ${broken}: line 1: it is not JSON\npageferry: ${broken}.gone: there is no such file\n`,
  });
});

test("wrong usage gives exit code 2 and says what is wrong and what is right", () => {
  for (const [args, reason] of [
    [[], "a command is missing"],
    [["confirm"], "confirm is not a command"],
    [["conform"], "conform needs at least one FILE"],
    [["conform", "--fast"], "Unknown option '--fast'"],
  ] as const) {
    const { status, stdout, stderr } = pageferry(...args);
    assert.equal(status, 2);
    assert.equal(stdout, "");
    assert.ok(stderr.startsWith(`pageferry: ${reason}`), stderr);
    assert.match(stderr, /\nusage: pageferry conform FILE\.\.\.\n/);
  }
});

test("help and version are printed on request", () => {
  const manifest = readFileSync(new URL("../../../package.json", import.meta.url), "utf8");
  const { version } = JSON.parse(manifest) as { version: string };
  assert.deepEqual(pageferry("--version"), { status: 0, stdout: `${version}\n`, stderr: "" });
  for (const option of ["--help", "-h"]) {
    const { status, stdout, stderr } = pageferry(option);
    assert.deepEqual([status, stderr], [0, ""]);
    assert.match(stdout, /^usage: pageferry conform FILE\.\.\.\n/);
  }
});
