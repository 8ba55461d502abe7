// The mmap lock: many readers or one writer, first come, first served.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { InvariantError } from "../../../src/mm/errors.js";
import { MmapLock } from "../../../src/mm/space/mmap-lock.js";
import { SeededEnvironment, seededRandom, TestEnvironment } from "../../environments.js";
import { setting } from "../../setting.js";

/** Runs whatever is scheduled. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Asks for the lock and writes down when it is had. */
function ask(lock: MmapLock, kind: "read" | "write", name: string, had: string[]): Promise<void> {
  return lock[kind]().then(() => void had.push(name));
}

describe("the mmap lock", () => {
  test("is had at once by readers, and by a writer when it is free", async () => {
    const lock = new MmapLock(new TestEnvironment());
    assert.equal(lock.free, true);
    assert.equal(lock.tryRead(), true);
    assert.equal(lock.tryRead(), true);
    assert.equal(lock.tryWrite(), false);
    assert.equal(lock.heldForReading, true);
    lock.readUnlock();
    assert.equal(lock.tryWrite(), false);
    lock.readUnlock();
    assert.equal(lock.heldForReading, false);
    assert.equal(lock.tryWrite(), true);
    assert.equal(lock.heldForWriting, true);
    assert.equal(lock.tryRead(), false);
    lock.writeUnlock();
    assert.equal(lock.free, true);
    await lock.read();
    lock.readUnlock();
    await lock.write();
    lock.writeUnlock();
    assert.equal(lock.free, true);
  });

  test("goes to a waiting writer before readers that came later, which is why none starves", async () => {
    const lock = new MmapLock(new TestEnvironment());
    const had: string[] = [];
    await lock.read();
    const writer = ask(lock, "write", "writer", had);
    const readers = [ask(lock, "read", "reader 1", had), ask(lock, "read", "reader 2", had)];
    assert.equal(lock.tryRead(), false, "no reader overtakes a writer that waits");
    await turn();
    assert.deepEqual(had, []);
    lock.readUnlock();
    await writer;
    await turn();
    assert.deepEqual(had, ["writer"]);
    lock.writeUnlock();
    await Promise.all(readers);
    assert.deepEqual(had, ["writer", "reader 1", "reader 2"]);
  });

  test("goes to all readers up to the next writer together", async () => {
    const lock = new MmapLock(new TestEnvironment());
    const had: string[] = [];
    await lock.write();
    const asked = [
      ask(lock, "read", "reader 1", had),
      ask(lock, "read", "reader 2", had),
      ask(lock, "write", "writer", had),
      ask(lock, "read", "reader 3", had),
    ];
    lock.writeUnlock();
    await turn();
    assert.deepEqual(had, ["reader 1", "reader 2"]);
    lock.readUnlock();
    await turn();
    assert.deepEqual(had, ["reader 1", "reader 2"]);
    lock.readUnlock();
    await turn();
    assert.deepEqual(had, ["reader 1", "reader 2", "writer"]);
    lock.writeUnlock();
    await Promise.all(asked);
    lock.readUnlock();
    assert.equal(lock.free, true);
  });

  test("is handed over, so that nobody slips in before the one that was woken runs", async () => {
    const environment = new SeededEnvironment(1);
    const lock = new MmapLock(environment);
    await lock.read();
    const writer = lock.write();
    lock.readUnlock();
    assert.equal(lock.heldForWriting, true);
    assert.equal(lock.tryRead(), false);
    assert.equal(lock.tryWrite(), false);
    await environment.settle(writer);
    lock.writeUnlock();
    assert.equal(lock.free, true);
  });

  test("cannot be let go by who does not hold it", () => {
    const lock = new MmapLock(new TestEnvironment());
    assert.throws(() => lock.readUnlock(), InvariantError);
    assert.throws(() => lock.writeUnlock(), InvariantError);
    lock.tryRead();
    assert.throws(() => lock.writeUnlock(), InvariantError);
  });

  const seed = Number(setting("SEED") ?? 20_261);
  test(`serves everyone, in order, whatever the order of wake-ups (SEED=${seed})`, async () => {
    const environment = new SeededEnvironment(seed);
    const random = seededRandom(seed + 1);
    const lock = new MmapLock(environment);
    const granted: number[] = [];
    let readers = 0;
    let writers = 0;
    const users = Array.from({ length: 60 }, async (_, i) => {
      const write = random() < 0.3;
      await (write ? lock.write() : lock.read());
      granted.push(i);
      if (write) writers++;
      else readers++;
      assert.ok(writers <= 1 && (writers === 0 || readers === 0), `${writers} writers beside ${readers} readers`);
      await environment.sleep(1);
      if (write) {
        writers--;
        lock.writeUnlock();
      } else {
        readers--;
        lock.readUnlock();
      }
    });
    await environment.settle(Promise.all(users));
    assert.deepEqual(
      granted.toSorted((a, b) => a - b),
      Array.from({ length: 60 }, (_, i) => i),
    );
    assert.equal(lock.free, true);
  });
});
