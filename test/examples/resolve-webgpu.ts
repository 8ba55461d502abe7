/** Loaded before an example, it lets `import("webgpu")` find the package of test/webgpu, as if it were installed. */

import { createRequire, register } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { repository } from "../packaging/sample-project.js";

const { href } = pathToFileURL(createRequire(join(repository, "test/webgpu/package.json")).resolve("webgpu"));
const hook = `export const resolve = (name, context, next) =>
  name === "webgpu" ? { url: ${JSON.stringify(href)}, shortCircuit: true } : next(name, context);`;
register(`data:text/javascript,${encodeURIComponent(hook)}`);
