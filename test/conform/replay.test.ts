// The engine answers every recorded operation as Linux did, and holds nothing when the recorded processes are gone.

import assert from "node:assert/strict";
import { basename } from "node:path";
import { test } from "node:test";
import { conform } from "../../src/cli/conform/conform.js";
import { perform } from "../../src/cli/conform/operations.js";
import { Replay } from "../../src/cli/conform/replay.js";
import { TraceReader } from "../../src/cli/conform/trace-reader.js";
import { exitAddressSpace } from "../../src/mm/index.js";
import { recorded } from "./traces.js";

test("the recorded runs are those of six modes, eight of each", () => {
  const modes = recorded.map((file) => basename(file).replace(/-.*/, ""));
  const count = (mode: string) => modes.filter((other) => other === mode).length;
  assert.deepEqual(
    ["b", "b1", "bmud", "bmudp1", "bp", "br"].map((mode) => [mode, count(mode)]),
    ["b", "b1", "bmud", "bmudp1", "bp", "br"].map((mode) => [mode, 8]),
  );
  assert.equal(recorded.length, 48);
});

test("every recorded operation is answered as Linux answered it, and leaves every page as Linux left it", async () => {
  let operations = 0;
  for (const file of recorded) {
    const result = await conform(file);
    assert.deepEqual(result.first, null, file);
    assert.equal(result.identical, result.operations, file);
    operations += result.operations;
  }
  assert.equal(operations, 6293);
});

test("when the processes of a recorded run have exited, no page, table or charge is left", async () => {
  for (const file of recorded) {
    const trace = await TraceReader.open(file);
    const replay = await Replay.begin(trace.header);
    for (let operation = await trace.operation(); operation !== undefined; operation = await trace.operation()) {
      await perform(replay, operation);
    }
    const { machine, devices } = replay;
    for (const process of replay.processes) {
      if (process === null) continue;
      await exitAddressSpace(process.mm);
      assert.equal(process.mm.resident.usage, 0, file);
      for (const page of process.pins.keys()) process.dropPin(machine, page);
    }
    machine.lru.drain();
    const used = devices.flatMap(({ chunks }) => chunks).flatMap(({ zone }) => framesOf(zone).filter(isReferenced));
    const left = {
      deviceFrames: used.length,
      hostFrames: machine.host.charge.usage,
      lru: machine.lru.list.length,
      tables: machine.tables.used,
      anonVmas: machine.anonVmaCount,
      waiters: machine.pageLocks.waiting,
      zeroPageReferences: machine.frames.refcount(0),
    };
    assert.deepEqual(
      left,
      { deviceFrames: 0, hostFrames: 0, lru: 0, tables: 0, anonVmas: 0, waiters: 0, zeroPageReferences: 1 },
      file,
    );

    function isReferenced(frame: number): boolean {
      return machine.frames.refcount(frame) !== 0;
    }
  }
});

function framesOf({ first, frames }: { first: number; frames: number }): number[] {
  return Array.from({ length: frames }, (_, i) => first + i);
}
