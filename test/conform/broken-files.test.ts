// A file that is no trace is refused with its name, the line and the reason; it is never a difference and never a crash.

import assert from "node:assert/strict";
import { dirname } from "node:path";
import { test, type TestContext } from "node:test";
import { gzipSync } from "node:zlib";
import { conform } from "../../src/cli/conform/conform.js";
import { TraceError } from "../../src/cli/conform/trace-error.js";
import { linesOf, recorded, trace, written } from "./traces.js";

const load = { op: "load", p: 0, i: 0, rc: 0, value: 0 };

async function refused(file: string, code: string, reason: string): Promise<void> {
  await assert.rejects(conform(file), (error) => {
    assert.ok(error instanceof TraceError);
    assert.equal(error.code, code);
    assert.ok(error.message.startsWith(`${file}: ${reason}`), error.message);
    return true;
  });
}

async function refusedLine(t: TestContext, content: string, line: number, reason: string): Promise<void> {
  await refused(written(t, content), "EBADMSG", `line ${line}: ${reason}`);
}

test("a file that cannot be read is refused", async (t) => {
  const file = written(t, "");
  await refused(`${file}.gone`, "ENOENT", "there is no such file");
  await refused(dirname(file), "EISDIR", "it is a folder");
  await refused(file, "EBADMSG", "it is empty");
});

test("a file without a header of the format is refused", async (t) => {
  await refusedLine(t, "hello", 1, "it is not JSON");
  await refusedLine(t, "[1]", 1, "it is not a JSON object");
  await refusedLine(t, "{}", 1, 'format (missing) is not "linux-hmm-trace/1"');
  await refusedLine(t, '{"format":"linux-hmm-trace/2"}', 1, 'format "linux-hmm-trace/2" is not "linux-hmm-trace/1"');
});

test("a header out of bounds is refused", async (t) => {
  const header = JSON.parse(trace()) as object;
  for (const [change, reason] of [
    [{ page_size: 5000 }, "page_size 5000 is not a power of two"],
    [{ page_size: 0 }, "page_size 0 is not an integer from 4096 to 2097152"],
    [{ pages: 0 }, "pages 0 is not an integer from 1 to 1048576"],
    [{ pages: 1.5 }, "pages 1.5 is not an integer from 1 to 1048576"],
    [{ mapping: "file" }, 'mapping "file" is not one of anon-private, file-private, anon-shared'],
    [{ huge: "no" }, 'huge "no" is not true or false'],
    [{ devices: "private" }, 'devices "private" is not a list of at most 16 kinds'],
    [{ devices: ["fast"] }, 'device kind "fast" is not one of private, coherent'],
  ] as const) {
    await refusedLine(t, JSON.stringify({ ...header, ...change }), 1, reason);
  }
});

test("a state of huge pages that is no run-length code of all pages is refused", async (t) => {
  const header = JSON.stringify({ ...(JSON.parse(trace()) as object), huge: true });
  for (const pm of ["001001001001", "3*001", "4*001,", "-4*001", "0*001,4*001", "4*xyz"]) {
    const state = [{ p: 0, pm, d0: "4*00" }];
    const line = JSON.stringify({ ...load, state });
    await refusedLine(t, `${header}\n${line}`, 2, `pm "${pm}" is not a run-length code of 4 pages`);
  }
});

test("a header alone is no trace", async (t) => {
  await refused(written(t, trace()), "EBADMSG", "it holds no operation");
});

test("an operation out of bounds is refused with its line", async (t) => {
  const move = { op: "to_dev", p: 0, d: 0, i: 0, n: 1, rc: 0 };
  const state = { p: 0, pm: "", d0: "" };
  for (const [operation, reason] of [
    [{ ...load, op: "peek" }, 'op "peek" is not an operation of the format'],
    [{ ...load, op: "toString" }, 'op "toString" is not an operation of the format'],
    [{ ...load, p: 3 }, "p 3 is not an integer from 0 to 2"],
    [{ ...load, i: 4 }, "i 4 is not an integer from 0 to 3"],
    [{ ...load, i: "0" }, 'i "0" is not an integer from 0 to 3'],
    [{ ...load, rc: undefined }, "rc (missing) is no return code"],
    [{ ...load, value: -1 }, "value -1 is not an integer from 0 to 4294967295"],
    [{ ...load, torn: 1 }, "torn 1 is not true or false"],
    [{ ...load, op: "store" }, "v (missing) is not an integer from 0 to 4294967295"],
    [{ ...move, d: 1 }, "d 1 is not an integer from 0 to 0"],
    [{ ...move, n: 0 }, "n 0 is not an integer from 1 to 4"],
    [{ ...move, i: 2, n: 3 }, "pages 2 to 5 exceed the mapping's 4"],
    [{ ...move, op: "dev_read", values: ["1"] }, "values is not a list of integers"],
    [{ ...load, state: {} }, "state is not a list of at most 3 processes"],
    [{ ...load, state: [0] }, "state holds 0, which is no process"],
    [{ ...load, state: [{ ...state, pm: 1 }] }, "pm 1 is not a string"],
    [{ ...load, state: [{ ...state, d0: undefined }] }, "d0 (missing) is not a string"],
  ] as const) {
    await refusedLine(t, trace(load, operation, load), 3, reason);
  }
});

test("a line that breaks off is refused, also after a difference", async (t) => {
  await refusedLine(t, trace(load, load).slice(0, -10), 3, "it is not JSON");
  await refusedLine(t, trace({ ...load, value: 1 }, load).slice(0, -10), 3, "it is not JSON");
});

test("gzip data that is broken or breaks off is refused", async (t) => {
  const whole = gzipSync(linesOf(recorded[0]).join("\n"));
  const cut = written(t, whole.subarray(0, whole.length - 20), "cut.jsonl.gz");
  await refused(cut, "EBADMSG", "its gzip data is broken (unexpected end of file)");
  const changed = Uint8Array.from(whole);
  changed.fill(0xff, 200, 220);
  await refused(written(t, changed, "changed.jsonl.gz"), "EBADMSG", "its gzip data is broken (");
});

test("gzip and plain files are told apart by their first bytes, not by their names", async (t) => {
  const text = `${linesOf(recorded[0]).join("\n")}\n`;
  const plain = await conform(written(t, text, "trace.gz"));
  const compressed = await conform(written(t, gzipSync(text), "trace.jsonl"));
  assert.equal(plain.first, null);
  assert.ok(plain.operations > 0);
  assert.deepEqual(compressed, plain);
});
