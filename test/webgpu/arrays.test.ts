// Suites of the arrays once more, over pages that are on a GPU. Kernels in them are functions, which no GPU runs: they run
// over a copy of its memory, that everything which comes back is compared with.

import { choose } from "../setting.js";

choose("PAGEFERRY_TEST_DEVICE", "webgpu");
const { skip } = await import("./gpu.js");
if (skip === false) {
  await import("../unified/array-views.test.js");
  await import("../unified/arrays.test.js");
  await import("../unified/budgets.test.js");
  await import("../unified/dirty-ranges.test.js");
  await import("../unified/kernels.test.js");
  await import("../unified/mapped-arrays.test.js");
  await import("../unified/order.test.js");
  await import("../unified/pins.test.js");
  await import("../unified/snapshots.test.js");
  await import("../unified/sources.test.js");
  await import("../unified/swapped-arrays.test.js");
} else {
  const { test } = await import("node:test");
  test("suites of the arrays over a GPU", { skip }, () => {});
}
