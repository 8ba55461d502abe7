import assert from "node:assert/strict";
import { test } from "node:test";
import { count, fileSize, memorySize, parseSize } from "../../../examples/program/sizes.js";

test("sizes are read in bytes and in binary units, in any case", () => {
  assert.equal(parseSize("32MiB", "--device-memory"), 32 * 1024 ** 2);
  assert.equal(parseSize("64kib", "--page-size"), 65_536);
  assert.equal(parseSize("1.5 GiB", "--device-memory"), 1.5 * 1024 ** 3);
  assert.equal(parseSize("4096", "--page-size"), 4096);
  assert.equal(parseSize("4096B", "--page-size"), 4096);
});

test("what is not a size is refused with the option's name and what may be written", () => {
  for (const text of ["", "MiB", "32MB", "32M", "-1", "1e6", "0x10", "thirty"]) {
    assert.throws(() => parseSize(text, "--page-size"), {
      code: "EINVAL",
      message: /^--page-size ".*" is not a size; .*such as 32MiB$/,
    });
  }
  for (const text of ["0", "0.3B", "99999999GiB"]) {
    assert.throws(() => parseSize(text, "--page-size"), {
      code: "EINVAL",
      message: /--page-size .* from 1 to 2\^53 - 1/,
    });
  }
});

test("memory is shown in binary units, files in decimal ones", () => {
  assert.equal(memorySize(32 * 1024 ** 2), "32 MiB");
  assert.equal(memorySize(65_536), "64 KiB");
  assert.equal(memorySize(136_591_600), "130.3 MiB");
  assert.equal(memorySize(0), "0 B");
  assert.equal(fileSize(117_897_434), "118 MB");
  assert.equal(fileSize(136_591_600), "137 MB");
  assert.equal(fileSize(2_400), "2.4 kB");
  assert.equal(fileSize(12), "12 bytes");
  assert.equal(count(341_479), "341,479");
});
