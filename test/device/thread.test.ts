// Threads: requests and answers, every way in which a worker fails, and what an idle thread does to a process: nothing.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test, type TestContext } from "node:test";
import { Worker as NodeWorker } from "node:worker_threads";
import { type StartedWorker, Thread } from "../../src/device/thread.js";
import { MemoryError } from "../../src/mm/errors.js";
import { memoryError } from "../builders.js";
import type { Order } from "./thread-under-test.js";

function started(t: TestContext): { thread: Thread; ask: (order: Order) => Promise<unknown>; reasons: MemoryError[] } {
  const reasons: MemoryError[] = [];
  const thread = new Thread(
    "test",
    (Worker) => new Worker(new URL("./thread-under-test.js", import.meta.url), { type: "module" }),
    (reason) => reasons.push(reason),
  );
  t.after(() => thread.terminate(new MemoryError("ENODEV", "the test is over")));
  return { thread, ask: (order) => thread.request(order), reasons };
}

test("requests are answered, each by its own answer, in whatever order that takes", async (t) => {
  const { ask } = started(t);
  const late = ask({ do: "wait", milliseconds: 50 });
  const sums = await Promise.all([1, 2, 3].map((last) => ask({ do: "add", numbers: [1, 2, last] })));
  assert.deepEqual(sums, [4, 5, 6]);
  assert.equal(await late, "waited");
});

test("what is transferred leaves the one side and arrives at the other", async (t) => {
  const { thread } = started(t);
  const bytes = new Uint8Array(1000).fill(3);
  assert.equal(await thread.request({ do: "sum", bytes } satisfies Order, [bytes.buffer]), 3000);
  assert.equal(bytes.byteLength, 0);
  const filled = await thread.request<Uint8Array>({ do: "fill", length: 10, value: 7 } satisfies Order);
  assert.deepEqual(filled, new Uint8Array(10).fill(7));
});

test("what the worker throws is thrown here, as what it was there, and the thread goes on", async (t) => {
  const { ask, thread } = started(t);
  await assert.rejects(ask({ do: "throw", what: "memory" }), (error: unknown) => {
    assert.ok(error instanceof MemoryError);
    assert.equal(error.code, "EBUSY");
    assert.equal(error.message, "EBUSY: a page is in use");
    assert.ok(error.cause instanceof RangeError);
    assert.equal(error.cause.message, "page 7");
    assert.match(error.stack ?? "", /thread-under-test/);
    return true;
  });
  await assert.rejects(ask({ do: "throw", what: "range" }), (error: unknown) => {
    assert.ok(error instanceof RangeError);
    assert.equal(error.message, "too far");
    return true;
  });
  await assert.rejects(ask({ do: "throw", what: "own" }), (error: unknown) => {
    assert.ok(error instanceof Error);
    assert.equal(error.name, "OwnError");
    assert.equal(error.message, "of its own kind");
    assert.equal((error as { completed?: unknown }).completed, 7);
    assert.ok(!("hook" in error));
    return true;
  });
  await assert.rejects(ask({ do: "throw", what: "string" }), (error: unknown) => error === "a string");
  await assert.rejects(ask({ do: "throw", what: "function" }), (error: unknown) => error === "() => 1");
  await assert.rejects(ask({ do: "throw", what: "loop" }), { message: "its own cause" });
  await assert.rejects(ask({ do: "answer a function" }), { name: "DataCloneError" });
  assert.equal(thread.ended, null);
  assert.equal(await ask({ do: "add", numbers: [1, 1] }), 2);
});

test("what cannot be posted is refused, and the thread goes on", async (t) => {
  const { thread, ask } = started(t);
  await assert.rejects(thread.request({ hook: () => {} }), { name: "DataCloneError" });
  assert.equal(await ask({ do: "add", numbers: [2, 2] }), 4);
});

const ENDS: [what: string, order: Order, reason: RegExp][] = [
  ["exits", { do: "exit", code: 3 }, /^EIO: thread "test" exited with code 3$/],
  ["fails outside of any request", { do: "throw later" }, /^EIO: thread "test" was ended by an error: nobody waits/],
  ["leaves a rejection unhandled", { do: "reject later" }, /ended by an error: nobody waits for this either/],
];
for (const [what, order, reason] of ENDS) {
  test(`a worker that ${what} rejects all that is pending, and all that is asked later`, async (t) => {
    const { ask, thread, reasons } = started(t);
    assert.equal(await ask({ do: "add", numbers: [] }), 0);
    const pending = [ask({ do: "wait", milliseconds: 1e9 }), ask(order), ask({ do: "wait", milliseconds: 1e9 })];
    for (const outcome of await Promise.allSettled(pending)) {
      assert.equal(outcome.status, "rejected");
      memoryError("EIO", reason)(outcome.reason);
    }
    await assert.rejects(ask({ do: "add", numbers: [] }), memoryError("EIO", reason));
    assert.deepEqual(reasons, [thread.ended]);
  });
}

test("a worker that takes more memory than it may have rejects what is pending", async (t) => {
  const thread = new Thread("hoarder", () => {
    const resourceLimits = { maxOldGenerationSizeMb: 16 };
    const worker: unknown = new NodeWorker(new URL("./thread-under-test.js", import.meta.url), { resourceLimits });
    return worker as StartedWorker;
  });
  t.after(() => thread.terminate(new MemoryError("ENODEV", "the test is over")));
  await assert.rejects(thread.request({ do: "hoard" } satisfies Order), memoryError("EIO", /memory/));
});

test("a worker whose script does not exist says which", async (t) => {
  const thread = new Thread(
    "lost",
    (Worker) => new Worker(new URL("./no-such-worker.js", import.meta.url), { type: "module" }),
  );
  t.after(() => thread.terminate(new MemoryError("ENODEV", "the test is over")));
  await assert.rejects(thread.request(1), memoryError("EIO", /thread "lost" was ended by an error: .*no-such-worker/));
});

test("a thread is ended in the middle of whatever it does", async (t) => {
  const { ask, thread, reasons } = started(t);
  const spinning = ask({ do: "spin" });
  const after = ask({ do: "add", numbers: [1] });
  const reason = new MemoryError("ENODEV", "closed");
  const ended = thread.terminate(reason);
  await assert.rejects(spinning, (error: unknown) => error === reason);
  await assert.rejects(after, (error: unknown) => error === reason);
  await ended;
  await thread.terminate(new MemoryError("EIO", "again"));
  assert.deepEqual(reasons, [reason]);
  await assert.rejects(ask({ do: "add", numbers: [1] }), (error: unknown) => error === reason);
});

/** Runs a program in a process of its own, and returns its output when it ends by itself. */
function output(program: string): string {
  const thread = new URL("../../src/device/thread.js", import.meta.url).href;
  const worker = new URL("./thread-under-test.js", import.meta.url).href;
  const text = `import { Thread } from ${JSON.stringify(thread)};
    const thread = new Thread("test", (Worker) => new Worker(new URL(${JSON.stringify(worker)}), { type: "module" }));
    ${program}`;
  const { stdout, stderr, status } = spawnSync(process.execPath, ["--input-type=module", "--eval", text], {
    encoding: "utf8",
  });
  assert.equal(status, 0, stderr);
  return stdout;
}

test("an idle thread does not keep a process alive, and a pending request does", () => {
  assert.equal(output(`console.log("done");`), "done\n");
  assert.equal(output(`console.log(await thread.request({ do: "wait", milliseconds: 100 }));`), "waited\n");
  assert.equal(
    output(`thread.request({ do: "wait", milliseconds: 100 }).then(console.log); thread.hold(); thread.release();`),
    "waited\n",
  );
  assert.equal(
    output(`thread.hold(); setTimeout(() => { thread.release(); console.log("let go"); }, 50);`),
    "let go\n",
  );
});
