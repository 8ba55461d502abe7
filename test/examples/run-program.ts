/** An example as a program of its own: what it prints and how it ends. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

export interface Ended {
  readonly code: number | null;
  readonly output: string;
  readonly messages: string;
}

/** `name` is the folder under examples/. */
export async function runProgram(
  name: string,
  args: readonly string[],
  options: { readonly environment?: NodeJS.ProcessEnv; readonly nodeOptions?: readonly string[] } = {},
): Promise<Ended> {
  const main = fileURLToPath(new URL(`../../examples/${name}/main.js`, import.meta.url));
  const job = spawn(process.execPath, [...(options.nodeOptions ?? []), main, ...args], {
    env: { ...process.env, ...options.environment },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  let messages = "";
  job.stdout.setEncoding("utf8").on("data", (text: string) => (output += text));
  job.stderr.setEncoding("utf8").on("data", (text: string) => (messages += text));
  const [code] = (await once(job, "close")) as [number | null];
  return { code, output, messages };
}

/** Loaded before an example, it changes the file CHANGED_FILE when the phase CHANGED_AFTER ends. */
export const changeBeforeVerification = new URL("change-before-verification.js", import.meta.url).href;
