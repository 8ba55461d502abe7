// Random kernels on the software device: those that share no memory of a workgroup, which it does not have.

import { PROPERTIES } from "./kernel.js";
import { suiteOfRandomKernels } from "./suite.js";

suiteOfRandomKernels({
  file: "property/random-kernels",
  properties: PROPERTIES.filter((property) => property !== "workgroups"),
  kernels: 3,
});
