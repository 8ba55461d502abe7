/**
 * What could make a thread wait for ever, find zeros, or take the process with it for no reason: each in a process of its own. Where
 * the process has to end, it says why, with exit code 70.
 *
 * PAGEFERRY_FAULT_METHOD=move|minor|copy asks for a method.
 */

import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { fileURLToPath } from "node:url";
import { EXIT_CODE } from "../../src/access/transparent/linux/system.js";
import { runProgram, skip } from "./setting.js";

const program = fileURLToPath(new URL("./hazards/program.js", import.meta.url));

interface Hazard {
  readonly name: string;
  readonly what: string;
  readonly options?: readonly string[];
  /** How the process ends, and what it says; default: well. */
  readonly code?: number;
  readonly says?: RegExp;
}

const HAZARDS: readonly Hazard[] = [
  { name: "mainThread", what: "the main thread waits for a page, and gets it" },
  { name: "systemCalls", what: "system calls read and write pages that are on the device" },
  { name: "pool", what: "every thread of the pool waits for pages" },
  { name: "waits", what: "a thread that touches a page of a running kernel waits for its results" },
  { name: "exit", what: "the process exits while a thread waits for a page", code: 3, says: /^leaving\n$/ },
  { name: "exitInTheMiddle", what: "the process exits while threads fault all the time", code: 3, says: /^$/ },
  { name: "otherThread", what: "another thread connects, sees the same pages, and pins them" },
  { name: "mappedFile", what: "a file that is larger than memory is a typed array" },
  { name: "terminate", what: "a thread is terminated while it waits for a page" },
  { name: "spawn", what: "processes are spawned while pages move" },
  { name: "collection", what: "arrays and views are collected", options: ["--expose-gc"] },
  { name: "signals", what: "signals arrive while pages come" },
  { name: "inspector", what: "the profiler runs, and the heap is looked at" },
  { name: "afterwards", what: "another memory is made after one was destroyed" },
  {
    name: "crash",
    what: "an error in the pager that nobody catches ends the process",
    code: EXIT_CODE,
    says: /the pager has failed: Error: the device driver has a bug/,
  },
  {
    name: "silence",
    what: "a pager that does not answer ends the process",
    code: EXIT_CODE,
    says: /the pager has not answered page faults for 500 milliseconds/,
  },
  {
    name: "failure",
    what: "a page that cannot come home ends the process",
    code: EXIT_CODE,
    says: /a load from bytes 0 to 65536 of the view of an array failed: .*the link is down/,
  },
  {
    name: "readOnly",
    what: "a store to a snapshot ends the process",
    code: EXIT_CODE,
    says: /a store to bytes 65536 to 131072 of the view of an array that is a snapshot, which cannot be written/,
  },
  {
    name: "noMemory",
    what: "a page for which there is no memory ends the process",
    code: EXIT_CODE,
    says: /store to .* failed: ENOMEM: no host memory for the page .*: 262144 of 262144 bytes are in use/,
  },
];

suite("hazards", { skip }, () => {
  for (const { name, what, options = [], code: wanted = 0, says = /^done\n$/ } of HAZARDS) {
    test(what, async () => {
      const { code, signal, output, errors } = await runProgram(program, [name], options);
      assert.equal(code, wanted, `${signal ?? ""} ${output}${errors}`);
      assert.match(wanted === EXIT_CODE ? errors : output, says);
      assert.doesNotMatch(output, /never/);
    });
  }

  test("a user without privileges has views; system calls on pages that are elsewhere fail", async (t) => {
    if (process.getuid?.() !== 0) return t.skip("only root becomes another user");
    const { code, output, errors } = await runProgram(program, ["unprivileged"]);
    assert.equal(code, 0, output + errors);
  });
});
