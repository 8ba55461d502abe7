// Random kernels on a GPU, where workgroups share memory as well.

import { choose } from "../setting.js";

choose("PAGEFERRY_TEST_DEVICE", "webgpu");
const { skip } = await import("./gpu.js");
if (skip === false) {
  const { PROPERTIES } = await import("../property/random-kernels/kernel.js");
  const { suiteOfRandomKernels } = await import("../property/random-kernels/suite.js");
  suiteOfRandomKernels({ file: "webgpu/random-kernels", properties: PROPERTIES, kernels: 2 });
} else {
  const { test } = await import("node:test");
  test("random kernels on a GPU", { skip }, () => {});
}
