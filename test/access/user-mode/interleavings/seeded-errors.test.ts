/**
 * Does the model find what it is there to find? One error at a time is put into a copy of the compiled sources, each of a
 * kind that only another thread makes an error, and a scenario of the model has to come upon it.
 */

import assert from "node:assert/strict";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite, test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import type * as explorer from "./explorer.js";
import type * as model from "./scenarios.js";

const dist = fileURLToPath(new URL("../../../../", import.meta.url));
const MODEL = "test/access/user-mode/interleavings";
const PARTS = [
  "src",
  "test/access/user-mode/threads.js",
  MODEL,
  ...["builders", "bytes", "environments", "invariants", "setting", "test-device"].map((module) => `test/${module}.js`),
];

interface SeededError {
  readonly name: string;
  /** Below src/, as compiled. */
  readonly file: string;
  /** Texts that occur there once, and what stands in their place. */
  readonly edits: readonly (readonly [text: string, replacement: string])[];
  readonly found: keyof typeof model.scenarios;
}

const USER = "access/user-mode/user-machine.js";

const errors: readonly SeededError[] = [
  {
    name: "a thread does not look at the entry a second time",
    file: USER,
    edits: [["if (this.#lookAgain(entries, index, word, write))", "if (true)"]],
    found: "migrated",
  },
  {
    name: "a thread takes a reference to a page that has none",
    file: USER,
    edits: [["while (seen > 0)", "while (true)"]],
    found: "unmapped",
  },
  {
    name: "a thread drops the last reference itself",
    file: USER,
    edits: [["!unmarked && seen !== GUP_PIN_COUNTING_BIAS", "!unmarked"]],
    found: "unmapped",
  },
  {
    name: "a thread claims its slot when it has looked a second time",
    file: USER,
    edits: [
      ["Atomics.store(this.#port, slot + SLOT_STATE, state);", ";"],
      [
        "this.#count(PINS, pages);",
        "for (const each of slots) Atomics.store(this.#port, each + SLOT_STATE, state); this.#count(PINS, pages);",
      ],
    ],
    found: "clearedRange",
  },
  {
    name: "a migration reads the entry before the look at its pins, and does not take it out",
    file: "migrate/collect.js",
    edits: [["exchangeWord(entries, at, 0)", "entries[at]"]],
    found: "migrated",
  },
  {
    name: "a home frame is retained whoever holds it",
    file: "migrate/finalize.js",
    edits: [["compareExchangeWord(words, at + REFCOUNT, 1, 0) === 1", "(words[at + REFCOUNT] = 0) === 0"]],
    found: "migrated",
  },
  {
    name: "a snapshot looks at the pins while the entry still stands",
    file: "mm/copy/fork.js",
    edits: [["owned ? exchangeWord(words, at + i, 0) : words[at + i]", "words[at + i]"]],
    found: "snapshot",
  },
  {
    name: "clearing all soft-dirty marks looks at the pins while the entry still stands",
    file: "mm/space/soft-dirty.js",
    edits: [["const taken = pageTable.exchange(page, 0);", "const taken = pageTable.read(page);"]],
    found: "clearedAll",
  },
  {
    name: "a file's page is forgotten although a pin came when its entry was being taken out",
    file: "mm/file/file-copy.js",
    edits: [["        if (frames.refcount(frame) !== DROPPABLE) {", "        if (false) {"]],
    found: "forgotten",
  },
  {
    name: "paging out looks at the pins while the entry still stands",
    file: "mm/swap/pageout.js",
    edits: [["(word & PTE_EXCLUSIVE) !== 0 && !mayShareAnonRmap(machine, frame)", "false"]],
    found: "pagedOut",
  },
];

suite("seeded errors in what threads and the pager do to one page", () => {
  for (const error of errors) {
    test(`${error.name}: found`, async (t) => {
      const folder = mkdtempSync(join(tmpdir(), "pageferry-error-"));
      try {
        const wanted = (source: string): boolean => !source.endsWith(".map") && !source.endsWith(".d.ts");
        for (const part of PARTS) cpSync(join(dist, part), join(folder, part), { recursive: true, filter: wanted });
        writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
        symlinkSync(join(dist, "../node_modules"), join(folder, "node_modules"), "junction");
        alter(join(folder, "src", error.file), error.edits);
        const load = (module: string): Promise<unknown> => import(pathToFileURL(join(folder, MODEL, module)).href);
        const { explore } = (await load("explorer.js")) as typeof explorer;
        const { scenarios } = (await load("scenarios.js")) as typeof model;
        await assert.rejects(explore(scenarios[error.found]), (found: Error) => {
          t.diagnostic(found.message.split("\n")[0]);
          return !found.message.includes("the same choices led elsewhere");
        });
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    });
  }
});

function alter(path: string, edits: SeededError["edits"]): void {
  let source = readFileSync(path, "utf8");
  for (const [text, replacement] of edits) {
    const parts = source.split(text);
    assert.equal(parts.length, 2, `${path} has ${parts.length - 1} times, not once: ${text}`);
    source = parts.join(replacement);
  }
  writeFileSync(path, source);
}
