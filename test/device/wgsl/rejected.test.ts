// Shaders that cannot be kernels are refused where they are created, with line, column and reason, whatever the device.

import assert from "node:assert/strict";
import { test } from "node:test";
import { KernelError } from "../../../src/device/kernel-error.js";
import { createUnifiedMemory } from "../../../src/index.js";
import { REJECTED } from "../../corpus/rejected.js";

for (const { text, reason, constants = {} } of REJECTED) {
  const given = Object.entries(constants).map(([name, value]) => `, ${name} = ${value}`);
  test(`${String(reason)}${given.join("")}: ${text.replace(/\s+/g, " ").slice(0, 120)}`, async () => {
    const at = text.indexOf("⟨");
    assert.ok(at >= 0 && text.indexOf("⟨", at + 1) < 0, "the text has one place");
    const before = text.slice(0, at).split("\n");
    const wgsl = text.replace("⟨", "");
    await using memory = await createUnifiedMemory();
    await assert.rejects(memory.createKernel({ wgsl, constants, footprint: { y: { each: 1 } } }), (error) => {
      assert.ok(error instanceof KernelError, String(error));
      assert.match(error.reason, reason);
      assert.deepEqual([error.line, error.column], [before.length, (before.at(-1) ?? "").length + 1]);
      return true;
    });
  });
}
