/** `fault-handler.c`, compiled where a compiler is, and asked for rounds. */

import { type ChildProcessWithoutNullStreams, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { repository } from "../../test/packaging/sample-project.js";
import { expect, NotMeasured } from "../scenario.js";

const SOURCE = join(repository, "bench/transparent/fault-handler.c");

export class CHandler implements Disposable {
  readonly #folder: string;
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #lines: AsyncIterator<string>;

  /** Throws `NotMeasured` without a compiler. */
  constructor(processor: number, pageSize: number, pages: number) {
    this.#folder = mkdtempSync(join(tmpdir(), "pageferry-handler-"));
    const program = join(this.#folder, "fault-handler");
    try {
      execFileSync("cc", ["-O2", "-pthread", "-o", program, SOURCE], { stdio: "pipe" });
    } catch (error) {
      rmSync(this.#folder, { recursive: true });
      throw new NotMeasured(`no C compiler that takes ${fileURLToPath(new URL(`file://${SOURCE}`))}: ${String(error)}`);
    }
    this.#child = spawn(program, [String(processor), String(pageSize), String(pages)]);
    this.#lines = createInterface(this.#child.stdout)[Symbol.asyncIterator]();
  }

  /** Nanoseconds a fault, of one round. */
  async round(): Promise<number> {
    this.#child.stdin.write("round\n");
    const { value, done } = await this.#lines.next();
    if (done === true) await once(this.#child, "exit");
    expect(done !== true, `the handler in C ended with ${this.#child.exitCode}`);
    return Number(value);
  }

  [Symbol.dispose](): void {
    this.#child.kill();
    rmSync(this.#folder, { recursive: true });
  }
}
