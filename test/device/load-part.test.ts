// Parts that are loaded on demand.

import assert from "node:assert/strict";
import { test } from "node:test";
import { loadPart } from "../../src/device/load-part.js";
import { memoryError } from "../builders.js";

test("a part that can be loaded is what its module exports", async () => {
  const part = { answer: 42 };
  assert.equal(await loadPart("answers", async () => part), part);
});

test("a part that cannot be loaded is named, with the reason, and is tried again the next time", async () => {
  const cause = new TypeError("Failed to fetch dynamically imported module");
  let attempts = 0;
  const load = (): Promise<number> => (++attempts === 1 ? Promise.reject(cause) : Promise.resolve(attempts));
  await assert.rejects(loadPart("answers", load), (error: unknown) => {
    assert.equal((error as Error).cause, cause);
    return memoryError("EIO", /the part of pageferry for answers could not be loaded: Failed to fetch/)(error);
  });
  assert.equal(await loadPart("answers", load), 2);
});
