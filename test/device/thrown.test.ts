import assert from "node:assert/strict";
import { test } from "node:test";
import { DeviceLostError } from "../../src/device/device-lost-error.js";
import { packThrown, unpackThrown } from "../../src/device/thrown.js";

test("the error of a lost device is the same in another thread", () => {
  const cause = new Error("of the driver");
  const error = new DeviceLostError("gpu", "destroyed", "by its owner", { cause });
  const there = unpackThrown(structuredClone(packThrown(error)));
  assert.ok(there instanceof DeviceLostError);
  const { name, code, message, reason, details, stack } = there;
  assert.deepEqual(
    { name, code, message, reason, details, stack },
    {
      name: "DeviceLostError",
      code: "ENODEV",
      message: "ENODEV: gpu is lost (destroyed): by its owner",
      reason: "destroyed",
      details: "by its owner",
      stack: error.stack,
    },
  );
  assert.equal((there.cause as Error).message, "of the driver");
});
