// The order of operations, and the ways out of it: aborted while waiting, aborted while running, closed.

import assert from "node:assert/strict";
import { test } from "node:test";
import { MemoryError } from "../../src/mm/errors.js";
import { OperationQueue } from "../../src/unified/operation-queue.js";

interface Gate {
  readonly passed: Promise<void>;
  readonly open: () => void;
}

function gate(): Gate {
  let open = (): void => {};
  const passed = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { passed, open: () => open() };
}

const gone = new MemoryError("EINVAL", "the memory is destroyed");

/** Lets everything run that can run without anything from outside. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test("operations run one at a time, in the order of the calls", async () => {
  const queue = new OperationQueue();
  const events: string[] = [];
  const operation = (name: string, turns: number) => async (): Promise<string> => {
    events.push(`${name} begins`);
    for (let i = 0; i < turns; i++) await settle();
    events.push(`${name} ends`);
    return name;
  };
  const results = await Promise.all([
    queue.run(operation("slow", 5)),
    queue.run(operation("quick", 0)),
    queue.run(operation("middle", 2)),
  ]);
  assert.deepEqual(results, ["slow", "quick", "middle"]);
  assert.deepEqual(events, ["slow begins", "slow ends", "quick begins", "quick ends", "middle begins", "middle ends"]);
});

test("an operation called by another waits for it to end", async () => {
  const queue = new OperationQueue();
  const events: string[] = [];
  let inner: Promise<unknown> = Promise.resolve();
  await queue.run(async () => {
    inner = queue.run(async () => events.push("inner"));
    await settle();
    events.push("outer ends");
  });
  await inner;
  assert.deepEqual(events, ["outer ends", "inner"]);
});

test("one that fails does not keep the next from running", async () => {
  const queue = new OperationQueue();
  const failure = new Error("no");
  const failed = queue.run(() => Promise.reject(failure));
  const next = queue.run(() => Promise.resolve("ran"));
  await assert.rejects(failed, failure);
  assert.equal(await next, "ran");
  await settle();
  assert.ok(queue.quiet);
});

test("the queue is quiet only when nothing runs and nothing waits", async () => {
  const queue = new OperationQueue();
  assert.ok(queue.quiet);
  const { passed, open } = gate();
  const running = queue.run(() => passed);
  assert.ok(!queue.quiet);
  const waiting = queue.run(() => Promise.resolve());
  open();
  await running;
  await waiting;
  await settle();
  assert.ok(queue.quiet);
});

test("an operation whose signal is aborted already is never started", async () => {
  const queue = new OperationQueue();
  const reason = { my: "reason" };
  let started = false;
  const operation = async (): Promise<void> => {
    started = true;
  };
  await assert.rejects(queue.run(operation, AbortSignal.abort(reason)), (error) => error === reason);
  assert.ok(!started);
});

test("an operation that is aborted while it waits rejects at once, and those around it keep their order", async () => {
  const queue = new OperationQueue();
  const { passed, open } = gate();
  const ran: string[] = [];
  const controller = new AbortController();
  const first = queue.run(() => passed);
  const before = queue.run(async () => ran.push("before"));
  const aborted = queue.run(async () => ran.push("aborted"), controller.signal);
  const after = queue.run(async () => ran.push("after"));
  const reason = new Error("enough");
  controller.abort(reason);
  await assert.rejects(aborted, (error) => error === reason);
  assert.deepEqual(ran, [], "the first still runs");
  open();
  await Promise.all([first, before, after]);
  assert.deepEqual(ran, ["before", "after"]);
});

test("an operation that is aborted while it runs learns of it at its next checkpoint, and not before", async () => {
  const queue = new OperationQueue();
  const controller = new AbortController();
  const reason = new Error("enough");
  const reached: number[] = [];
  const running = queue.run(async ({ checkpoint }) => {
    for (let i = 0; i < 5; i++) {
      checkpoint();
      reached.push(i);
      if (i === 2) controller.abort(reason);
      await settle();
    }
  }, controller.signal);
  await assert.rejects(running, (error) => error === reason);
  assert.deepEqual(reached, [0, 1, 2]);
  assert.equal(await queue.run(() => Promise.resolve("goes on")), "goes on");
});

test("a signal that is aborted after its operation has ended does nothing", async () => {
  const queue = new OperationQueue();
  const controller = new AbortController();
  assert.equal(await queue.run(() => Promise.resolve(1), controller.signal), 1);
  const waiting = queue.run(() => Promise.resolve(2));
  controller.abort();
  assert.equal(await waiting, 2);
});

test("one signal may abort many operations", async () => {
  const queue = new OperationQueue();
  const { passed, open } = gate();
  const controller = new AbortController();
  const running = queue.run(async ({ checkpoint }) => {
    await passed;
    checkpoint();
  }, controller.signal);
  const waiting = Array.from({ length: 20 }, () => queue.run(() => Promise.resolve(), controller.signal));
  controller.abort(gone);
  const outcomes = await Promise.allSettled(waiting);
  assert.ok(outcomes.every((outcome) => outcome.status === "rejected" && outcome.reason === gone));
  open();
  await assert.rejects(running, (error) => error === gone);
});

test("closing rejects what waits, stops what runs at its next checkpoint, and resolves when that has ended", async () => {
  const queue = new OperationQueue();
  const { passed, open } = gate();
  let ended = false;
  const running = queue.run(async ({ checkpoint }) => {
    await passed;
    try {
      checkpoint();
    } finally {
      ended = true;
    }
  });
  const waiting = queue.run(() => Promise.resolve());
  let closed = false;
  const closing = queue.close(gone).then(() => {
    closed = true;
  });
  await assert.rejects(waiting, (error) => error === gone);
  await settle();
  assert.ok(!closed, "the running operation has not ended");
  open();
  await assert.rejects(running, (error) => error === gone);
  await closing;
  assert.ok(ended);
});

test("a closed queue runs nothing more, and says why", async () => {
  const queue = new OperationQueue();
  await queue.close(gone);
  let started = false;
  await assert.rejects(
    queue.run(async () => {
      started = true;
    }),
    (error) => error === gone,
  );
  await queue.close(new MemoryError("EINVAL", "once more"));
  await assert.rejects(
    queue.run(() => Promise.resolve()),
    (error) => error === gone,
  );
  assert.ok(!started);
});

test("a wait for something outside ends when that comes, when the operation is aborted, or when the queue is closed", async () => {
  const queue = new OperationQueue();
  const never = new Promise<never>(() => {});
  assert.equal(await queue.run(({ outside }) => outside(Promise.resolve("came"))), "came");
  const failure = new Error("failed outside");
  await assert.rejects(
    queue.run(({ outside }) => outside(Promise.reject(failure))),
    (error) => error === failure,
  );
  const controller = new AbortController();
  const aborted = queue.run(({ outside }) => outside(never), controller.signal);
  const closed = queue.run(({ outside }) => outside(never));
  const reason = { my: "reason" };
  controller.abort(reason);
  await assert.rejects(aborted, (error) => error === reason);
  await settle();
  const closing = queue.close(gone);
  await assert.rejects(closed, (error) => error === gone);
  await closing;
});

/** Counts the listeners of a signal, and the most that there were. */
function countListeners(signal: AbortSignal): { now: number; most: number } {
  const count = { now: 0, most: 0 };
  const add = signal.addEventListener.bind(signal);
  const remove = signal.removeEventListener.bind(signal);
  signal.addEventListener = (...args: Parameters<typeof add>): void => {
    count.most = Math.max(count.most, ++count.now);
    add(...args);
  };
  signal.removeEventListener = (...args: Parameters<typeof remove>): void => {
    count.now--;
    remove(...args);
  };
  return count;
}

test("however many operations wait with one signal, it has one listener, and none once they have run", async () => {
  const queue = new OperationQueue();
  const { signal } = new AbortController();
  const listeners = countListeners(signal);
  await Promise.all(Array.from({ length: 20 }, () => queue.run(() => Promise.resolve(), signal)));
  assert.deepEqual(listeners, { now: 0, most: 1 });
});

test("waits for something outside leave no listener at the signal, however they end", async () => {
  const queue = new OperationQueue();
  const { signal } = new AbortController();
  const listeners = countListeners(signal);
  await queue.run(async ({ outside }) => {
    for (let i = 0; i < 20; i++) await outside(Promise.resolve());
    await outside(Promise.reject(gone)).catch(() => {});
  }, signal);
  assert.deepEqual(listeners, { now: 0, most: 1 });
});
