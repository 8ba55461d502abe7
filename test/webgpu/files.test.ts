// Arrays over files once more, over pages that are on a GPU; in Node alone.

import { choose } from "../setting.js";

choose("PAGEFERRY_TEST_DEVICE", "webgpu");
const { skip } = await import("./gpu.js");
if (skip === false) {
  await import("../unified/mapped-files.test.js");
} else {
  const { test } = await import("node:test");
  test("arrays over files over a GPU", { skip }, () => {});
}
