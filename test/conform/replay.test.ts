// The engine answers every recorded operation as Linux did, and holds nothing when the recorded processes are gone.

import assert from "node:assert/strict";
import { basename } from "node:path";
import { test } from "node:test";
import { conform } from "../../src/cli/conform/conform.js";
import { perform } from "../../src/cli/conform/operations.js";
import { Replay } from "../../src/cli/conform/replay.js";
import { TraceReader } from "../../src/cli/conform/trace-reader.js";
import { SHARED } from "../builders.js";
import { checkInvariants } from "../invariants.js";
import { linesOf, recorded, written } from "./traces.js";

/** The modes of huge pages; of each there are three runs, of every other eight. */
const HUGE_MODES = ["Hb", "Hb1", "Hbf", "Hbfmud", "Hbfmudpxsc", "Hbmud", "Hbp", "Hbs", "Hbx"];

const MODES = [
  "b",
  "b1",
  "bF",
  "bFfmudpls",
  "bS",
  "bSfmudpls",
  "bc",
  "bf",
  "bfmud",
  "bfmudplxsc",
  "bfmudpxsc1",
  "bfp1",
  "bmud",
  "bmudp1",
  "bp",
  "bpl",
  "br",
  "bs",
  "bx",
];

test("the recorded runs are those of nineteen modes, eight of each, and of nine with huge pages, three of each", () => {
  const modes = recorded.map((file) => basename(file).replace(/-.*/, ""));
  const count = (mode: string) => modes.filter((other) => other === mode).length;
  const expected = [...MODES.map((mode) => [mode, 8]), ...HUGE_MODES.map((mode) => [mode, 3])];
  assert.deepEqual(
    expected.map(([mode]) => [mode, count(String(mode))]),
    expected,
  );
  assert.equal(recorded.length, 179);
});

test("every recorded operation is answered as Linux answered it, and leaves every page as Linux left it", async () => {
  let operations = 0;
  for (const file of recorded) {
    const result = await conform(file, SHARED);
    assert.deepEqual(result.first, null, file);
    assert.equal(result.identical, result.operations, file);
    operations += result.operations;
  }
  assert.equal(operations, 23_898);
});

test("with larger pages the answers are the same", async (t) => {
  for (const file of recorded.filter((_, index) => index % 4 === 0)) {
    const [header, ...operations] = linesOf(file);
    const larger = JSON.stringify({ ...(JSON.parse(header) as object), page_size: 65_536 });
    const { first } = await conform(written(t, [larger, ...operations].join("\n")));
    assert.deepEqual(first, null, file);
  }
});

test("the engine's invariants hold after every recorded operation, and nothing is left when the processes have exited", async () => {
  for (const file of recorded) {
    const trace = await TraceReader.open(file);
    const replay = await Replay.begin(trace.header, SHARED);
    for (let operation = await trace.operation(); operation !== undefined; operation = await trace.operation()) {
      await perform(replay, operation);
      checkInvariants(replay.machine, { references: pinned(replay) });
    }
    await replay.end();
    checkInvariants(replay.machine);
    const { machine } = replay;
    machine.lru.drain();
    const left = { host: machine.host.charge.usage, tables: machine.tables.used, roots: machine.anonVmaCount };
    assert.deepEqual(left, { host: 0, tables: 0, roots: 0 }, file);
    assert.deepEqual(usedFrames(replay), [], file);
  }
});

function pinned({ processes }: Replay): [frame: number, references: number][] {
  const frames = processes.flatMap((process) => [...(process?.pins.values() ?? [])].flat());
  return frames.map((frame) => [frame, 1]);
}

/** Frames of all devices that somebody still refers to. */
function usedFrames({ machine, devices }: Replay): number[] {
  const frames = devices
    .flatMap(({ chunks }) => chunks)
    .flatMap(({ zone }) => Array.from({ length: zone.frames }, (_, i) => zone.first + i));
  return frames.filter((frame) => machine.frames.refcount(frame) !== 0);
}
