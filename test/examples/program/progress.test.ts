import assert from "node:assert/strict";
import { test } from "node:test";
import { Progress, seconds } from "../../../examples/program/progress.js";

class Screen {
  text = "";
  readonly isTTY: boolean;
  readonly columns: number;

  constructor(isTTY: boolean, columns = 80) {
    this.isTTY = isTTY;
    this.columns = columns;
  }

  write(text: string): boolean {
    this.text += text;
    return true;
  }

  /** What a terminal shows in the end. */
  get shown(): string {
    const lines = this.text.split("\n").map((line) => line.split("\r\x1b[K").at(-1));
    return lines.join("\n");
  }
}

test("without a terminal each phase is one plain line when it ends", () => {
  const screen = new Screen(false);
  let now = 0;
  const progress = new Progress(screen, () => now);
  const load = progress.phase("load", 137e6);
  now = 1500;
  load.update(1e6);
  load.end();
  progress.phase("verify", 1, "share").end();
  assert.equal(screen.text, "load      137 MB in 1.50 s\nverify    0.0 ms\n");
  assert.equal(progress.took.get("load"), 1500);
});

test("on a terminal a bar moves and gives way to the plain line", () => {
  const screen = new Screen(true);
  let now = 0;
  const progress = new Progress(screen, () => now);
  const search = progress.phase("search", 2000, "words");
  now = 1000;
  search.update(1000);
  assert.match(screen.text, /█+░+  50%  1,000 of 2,000 words  1 s$/);
  search.end();
  assert.equal(screen.shown, "search    2,000 words in 1.00 s\n");
});

test("the bar never fills more than the line", () => {
  for (const columns of [20, 40, 60, 79, 200]) {
    const screen = new Screen(true, columns);
    const progress = new Progress(screen, () => 0);
    progress.phase("download", 118e6);
    const drawn = screen.text.split("\r\x1b[K").at(-1)!;
    progress.stop();
    if (columns >= 60) assert.ok(drawn.length < columns, `${drawn.length} of ${columns}`);
    else assert.ok(!drawn.includes("░"));
  }
});

test("a phase that breaks off leaves no bar behind, and a note stands on its own line", () => {
  const screen = new Screen(true);
  const progress = new Progress(screen, () => 0);
  const phase = progress.phase("download", 118e6);
  progress.note("something else");
  progress.stop();
  phase.update(1e6);
  phase.end();
  assert.equal(screen.shown, "something else\n");
});

test("times are short", () => {
  assert.deepEqual([0.04, 9.94, 42.4, 312, 61_234].map(seconds), ["0.0 ms", "9.9 ms", "42 ms", "0.31 s", "61.23 s"]);
});
