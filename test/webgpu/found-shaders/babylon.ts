/** The compute shaders that Babylon.js brings as text. */

import { readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { type FoundShader, load, packages } from "./packages.js";

/** Lines that begin with # are Babylon.js's own: what is included, and what is there if something is defined. Nothing is. */
function preprocess(text: string, includes: Readonly<Record<string, string>>): string {
  const isKept: boolean[] = [];
  const defined = new Map<string, string>();
  const lines = text.split("\n").flatMap((line) => {
    const [directive = "", name = ""] = line.trim().split(/[\s<>]+/);
    if (directive === "#ifdef" || directive === "#if") isKept.push(defined.has(name));
    else if (directive === "#ifndef") isKept.push(!defined.has(name));
    else if (directive === "#else") isKept.push(isKept.pop() === false);
    else if (directive === "#endif") isKept.pop();
    else if (isKept.includes(false)) return [];
    else if (directive === "#define") defined.set(name, line.trim().split(/\s+/).slice(2).join(" "));
    else if (directive === "#include") return [preprocess(includes[name] ?? "", includes)];
    else return [line];
    return [];
  });
  let result = lines.join("\n");
  for (const [name, value] of defined) result = result.replaceAll(new RegExp(`\\b${name}\\b`, "g"), value);
  return result;
}

export async function babylonShaders(): Promise<FoundShader[]> {
  const folder = join(dirname(packages.resolve("@babylonjs/core/package.json")), "ShadersWGSL");
  const files = readdirSync(folder).filter((file) => file.endsWith(".compute.js"));
  const { ShaderStore } = await load("@babylonjs/core/Engines/shaderStore.js");
  return Promise.all(
    files.map(async (file) => {
      const shaders = Object.values(
        (await import(pathToFileURL(join(folder, file)).href)) as Record<string, { shader: string }>,
      );
      return {
        from: `Babylon.js ${file}`,
        text: preprocess(shaders[0]?.shader ?? "", ShaderStore.IncludesShadersStoreWGSL),
      };
    }),
  );
}
