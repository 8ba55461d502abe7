/** Loaded before a program, it lets `import("koffi")` find the package of test/transparent, as if it were installed. */

import { createRequire, register } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { repository } from "../packaging/sample-project.js";

const { href } = pathToFileURL(createRequire(join(repository, "test/transparent/package.json")).resolve("koffi"));
const hook = `export const resolve = (name, context, next) =>
  name === "koffi" ? { url: ${JSON.stringify(href)}, shortCircuit: true } : next(name, context);`;
register(`data:text/javascript,${encodeURIComponent(hook)}`);
