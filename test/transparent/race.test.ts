/**
 * Writers, a reader, a device's kernel and moves at once over the same pages, by each method and at several page sizes: no
 * update is lost, nothing goes back, nobody waits for ever. And the orders that would break that, each put into the compiled sources as they
 * are loaded, are caught.
 *
 * PAGEFERRY_RACE_ROUNDS=N races longer.
 */

import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { fileURLToPath } from "node:url";
import { EXIT_CODE } from "../../src/access/transparent/linux/system.js";
import { optionsWith } from "../property/seeded-bugs/alteration.js";
import { type Ended, runProgram, skip } from "./setting.js";

const KIB = 1024;
const LOST = 1;
const STILL = 2;

const wanted = process.env["PAGEFERRY_RACE_ROUNDS"] ?? "15";

const PROGRAM = fileURLToPath(new URL("race/program.js", import.meta.url));

function race(
  method: string,
  pageSize: number,
  pages: number,
  options: readonly string[] = [],
  rounds = wanted,
): Promise<Ended> {
  return runProgram(PROGRAM, [method, String(pageSize), String(pages), rounds], options);
}

suite("race", { skip }, () => {
  for (const method of ["move", "minor", "copy"]) {
    for (const pageSize of [4 * KIB, 64 * KIB, 2048 * KIB]) {
      test(`by ${method}, at ${pageSize / KIB} KiB a page, every counter is what its owners made of it`, async (t) => {
        const { code, output, errors } = await race(method, pageSize, 4);
        t.diagnostic(output.trim());
        assert.equal(code, 0, output + errors);
        const { increments, toHost } = JSON.parse(output.slice(0, output.indexOf("}") + 1)) as Record<string, number>;
        assert.ok((increments ?? 0) > 1000 && (toHost ?? 0) > 100, output);
      });
    }
  }
});

interface BrokenOrder {
  readonly name: string;
  readonly method: string;
  readonly pages: number;
  readonly file: string;
  readonly text: string;
  readonly replacement: string;
  readonly ends: readonly number[];
}

const COPY = "access/transparent/linux/copy-pages.js";

const BROKEN: readonly BrokenOrder[] = [
  {
    name: "a page is copied before stores to it are forbidden",
    method: "copy",
    pages: 4,
    file: COPY,
    text: "this.guard(at, bytes);",
    replacement: ";",
    ends: [LOST],
  },
  {
    name: "the file is read before its pages are out of the window",
    method: "minor",
    pages: 4,
    file: "access/transparent/linux/minor-pages.js",
    text: "this.empty(at, bytes);\n        this.system.memcpy(frame, alias, bytes);",
    replacement: "this.system.memcpy(frame, alias, bytes); this.empty(at, bytes);",
    ends: [LOST],
  },
  {
    name: "a page is copied instead of moved, and then dropped",
    method: "move",
    pages: 4,
    file: "access/transparent/linux/move-pages.js",
    text: "this.watch.move(frame, at, bytes);",
    replacement: "this.system.memcpy(frame, at, bytes); this.drop(at, bytes);",
    ends: [LOST],
  },
  {
    name: "a range is unregistered while its pages are dropped",
    method: "copy",
    pages: 4,
    file: COPY,
    text: "this.system.memcpy(frame, at, bytes);\n        this.empty(at, bytes);",
    replacement:
      "this.watch.unregister(at, bytes); this.system.memcpy(frame, at, bytes); this.empty(at, bytes); this.watch.register(at, bytes, 3);",
    // What a store found there meanwhile, a page of zeros, may be in the way of the next page.
    ends: [LOST, EXIT_CODE],
  },
  {
    name: "threads are woken before it is noted that their page is no longer being brought",
    method: "move",
    pages: 1,
    file: "access/transparent/fault-server.js",
    text: "finally(() => pending.delete(index))",
    replacement: "finally(() => new Promise((resolve) => setTimeout(() => resolve(pending.delete(index)), 20)))",
    ends: [STILL],
  },
];

suite("broken orders", { skip, concurrency: 1 }, () => {
  for (const { name, method, pages, ends, ...bug } of BROKEN) {
    test(`${name}: caught`, async (t) => {
      const { code, output, errors } = await race(method, 64 * KIB, pages, optionsWith(bug), "3000");
      t.diagnostic(output.trim());
      assert.ok(code !== null && ends.includes(code), output + errors);
    });
  }
});
