#!/usr/bin/env node
/**
 * The `pageferry` command. It parses arguments, prints, and sets the exit code: 0 done, 1 a negative answer, 2 wrong
 * usage or unreadable input.
 */

import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { conformCommand } from "./conform/command.js";
import { infoCommand } from "./info.js";

const USAGE = `usage: pageferry conform FILE...
       pageferry info

  conform FILE...   replay runs recorded on Linux (linux-hmm-trace/1, gzip or plain) and compare every answer
  info              whether arrays can be typed arrays that page themselves here, how, and why not
  --help            this text
  --version         the version of the package

exit code: 0 all operations identical, or views can be had; 1 a difference, or not; 2 wrong usage or a file that is no trace`;

process.exitCode = await main(process.argv.slice(2));

async function main(args: string[]): Promise<number> {
  let parsed: ReturnType<typeof parse>;
  try {
    parsed = parse(args);
  } catch (error) {
    return refuse(error instanceof Error ? error.message : String(error));
  }
  const { values, positionals } = parsed;
  if (values.help === true) return print(USAGE);
  if (values.version === true) return print(version());
  const [command, ...files] = positionals;
  if (command === undefined) return refuse("a command is missing");
  if (command === "info")
    return files.length > 0 ? refuse("info takes no FILE") : infoCommand((line) => console.log(line));
  if (command !== "conform") return refuse(`${command} is not a command`);
  if (files.length === 0) return refuse("conform needs at least one FILE");
  return conformCommand(files, { out: (line) => console.log(line), error: (line) => console.error(line) });
}

function parse(args: string[]) {
  return parseArgs({
    args,
    allowPositionals: true,
    options: { help: { type: "boolean", short: "h" }, version: { type: "boolean" } },
  });
}

function version(): string {
  const manifest = JSON.parse(readFileSync(new URL("../../../package.json", import.meta.url), "utf8")) as {
    version: string;
  };
  return manifest.version;
}

function print(text: string): number {
  console.log(text);
  return 0;
}

function refuse(reason: string): number {
  console.error(`pageferry: ${reason}\n\n${USAGE}`);
  return 2;
}
