// A throw-away project for the tests of the scripts: files by path, in a folder that goes when the test ends.

import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";

export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Where the repository stands, seen from dist/test/packaging/. */
export const repository = fileURLToPath(new URL("../../../", import.meta.url));

export class SampleProject {
  readonly root = realpathSync(mkdtempSync(join(tmpdir(), "pageferry-sample-")));

  /** What its programs find in the environment besides. */
  readonly environment: Record<string, string> = {};

  constructor(context: TestContext, files: Record<string, string> = {}) {
    context.after(() => rmSync(this.root, { recursive: true, force: true }));
    cpSync(join(repository, "scripts"), join(this.root, "scripts"), { recursive: true });
    this.write("package.json", '{ "type": "module" }');
    for (const [path, text] of Object.entries(files)) this.write(path, text);
  }

  write(path: string, text: string): void {
    mkdirSync(dirname(join(this.root, path)), { recursive: true });
    writeFileSync(join(this.root, path), text);
  }

  remove(path: string): void {
    rmSync(join(this.root, path), { recursive: true });
  }

  node(...args: string[]): Outcome {
    const env = { ...process.env, ...this.environment, npm_execpath: join(this.root, "stub", "npm-cli.js") };
    const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: this.root, encoding: "utf8", env });
    return { code: status, stdout, stderr };
  }
}
