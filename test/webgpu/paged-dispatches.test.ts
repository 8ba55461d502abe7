// Suites of paged dispatches once more, over pages that are on a GPU, where the kernels run as well.

import { choose } from "../setting.js";

choose("PAGEFERRY_TEST_DEVICE", "webgpu");
const { skip } = await import("./gpu.js");
if (skip === false) {
  await import("../unified/paged-dispatches.test.js");
  await import("../unified/paged-promises.test.js");
} else {
  const { test } = await import("node:test");
  test("suites of paged dispatches over a GPU", { skip }, () => {});
}
