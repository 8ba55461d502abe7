/** Packages that the tests take shaders out of. They are installed apart from the project, and their shaders never kept. */

import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { repository } from "../../packaging/sample-project.js";

/** A shader that was not written for this project: where the text comes from, and the text. */
export interface FoundShader {
  readonly from: string;
  readonly text: string;
}

export const packages = createRequire(join(repository, "test/webgpu/package.json"));

// Their types are not known here.
// oxlint-disable-next-line no-explicit-any
export type Package = any;

export async function load(name: string): Promise<Package> {
  return import(pathToFileURL(packages.resolve(name)).href);
}
