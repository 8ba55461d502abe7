// A machine: what it is made of, and what it refuses to be made of.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { InvariantError } from "../../src/mm/errors.js";
import { Machine } from "../../src/mm/machine.js";
import { ZONE_COHERENT, ZONE_PRIVATE, ZONE_SYSTEM } from "../../src/mm/frames/zone.js";
import { createMachine, memoryError, PAGE, SHARED } from "../builders.js";
import { checkInvariants } from "../invariants.js";

const pageMap = { owner: {}, ops: { pageFree: () => {}, migrateToRam: () => Promise.resolve() } };

describe("a machine", () => {
  test("has pages of 64 KiB unless it is told otherwise", () => {
    const machine = new Machine({ shared: SHARED });
    assert.equal(machine.pageSize, 65_536);
    assert.equal(machine.pageShift, 16);
    checkInvariants(machine);
  });

  for (const pageSize of [4096, 8192, 65_536, 1 << 21]) {
    test(`can have pages of ${pageSize} bytes`, () => {
      const machine = new Machine({ pageSize, shared: SHARED });
      const frame = machine.host.allocate(0, true);
      assert.equal(machine.zones.bytes(frame).byteLength, pageSize);
      machine.put(frame);
      checkInvariants(machine);
    });
  }

  for (const pageSize of [0, 1, 2048, 4097, 12_288, 1 << 22, -4096, NaN, Infinity]) {
    test(`refuses pages of ${pageSize} bytes`, () => {
      assert.throws(
        () => new Machine({ pageSize }),
        memoryError("EINVAL", new RegExp(`page size ${pageSize} is not a power of two from 4096 to 2097152`)),
      );
    });
  }

  for (const hostBudget of [0, PAGE - 1, -1, NaN]) {
    test(`refuses a host budget of ${hostBudget} bytes, which is less than a page`, () => {
      assert.throws(
        () => new Machine({ pageSize: PAGE, hostBudget }),
        memoryError("EINVAL", new RegExp(`host budget of ${hostBudget} bytes is less than one page of 4096`)),
      );
    });
  }

  test("has a zero page, frame 0, from the start", () => {
    const { machine } = createMachine();
    assert.equal(machine.frames.refcount(0), 1);
    assert.ok(machine.zones.bytes(0).every((byte) => byte === 0));
    assert.equal(machine.zones.of(0).kind, ZONE_SYSTEM);
    checkInvariants(machine);
  });

  test("numbers address spaces, and no number twice", () => {
    const { machine } = createMachine();
    assert.notEqual(machine.createAddressSpace().id, machine.createAddressSpace().id);
  });
});

describe("device memory", () => {
  test("starts at a block of 512 frames, so that the zone of every frame is known", () => {
    const { machine } = createMachine();
    const first = machine.addDeviceMemory("private", 3, null, pageMap);
    const second = machine.addDeviceMemory("coherent", 600, new Uint8Array(600 * PAGE), pageMap);
    assert.equal(first.first % 512, 0);
    assert.equal(second.first % 512, 0);
    assert.equal(machine.zones.of(first.first), first);
    assert.equal(machine.zones.of(first.first + 2), first);
    assert.equal(machine.zones.of(second.first), second);
    assert.equal(machine.zones.of(second.first + 599), second);
    assert.deepEqual([first.kind, second.kind], [ZONE_PRIVATE, ZONE_COHERENT]);
    checkInvariants(machine);
  });

  test("that is private cannot be reached by the CPU", () => {
    const { machine } = createMachine();
    const zone = machine.addDeviceMemory("private", 3, null, pageMap);
    assert.throws(() => machine.zones.bytes(zone.first), InvariantError);
  });

  test("that is coherent can", () => {
    const { machine } = createMachine();
    const bytes = new Uint8Array(2 * PAGE);
    const zone = machine.addDeviceMemory("coherent", 2, bytes, pageMap);
    machine.zones.bytes(zone.first + 1).fill(7);
    assert.equal(bytes[PAGE - 1], 0);
    assert.equal(bytes[PAGE], 7);
  });

  test("is refused without frames", () => {
    const { machine } = createMachine();
    for (const frames of [0, -1, 1.5, NaN]) {
      assert.throws(
        () => machine.addDeviceMemory("private", frames, null, pageMap),
        memoryError("EINVAL", /has no memory/),
      );
    }
  });

  test("is refused when its bytes do not fit its kind", () => {
    const { machine } = createMachine();
    assert.throws(
      () => machine.addDeviceMemory("coherent", 1, null, pageMap),
      memoryError("EINVAL", /coherent .* needs bytes/),
    );
    assert.throws(
      () => machine.addDeviceMemory("private", 1, new Uint8Array(PAGE), pageMap),
      memoryError("EINVAL", /private .* takes no bytes/),
    );
    assert.throws(
      () => machine.addDeviceMemory("coherent", 2, new Uint8Array(PAGE), pageMap),
      memoryError("EINVAL", /4096 bytes are too few for 2 page frames of 4096/),
    );
    checkInvariants(machine);
  });

  test("beyond what entries can name is refused, and nothing is added", () => {
    const { machine } = createMachine();
    const { count } = machine.frames;
    assert.throws(
      () => machine.addDeviceMemory("private", 1 << 24, null, pageMap),
      memoryError("ENOMEM", /exceed the 16777216/),
    );
    assert.equal(machine.frames.count, count);
    checkInvariants(machine);
  });

  test("can come in 254 pieces beside host memory, and no more", () => {
    const { machine } = createMachine();
    machine.put(machine.host.allocate(0, false));
    while (machine.zones.list.length < 256) machine.addDeviceMemory("private", 1, null, pageMap);
    assert.throws(
      () => machine.addDeviceMemory("private", 1, null, pageMap),
      memoryError("ENOMEM", /at most 256 zones/),
    );
    assert.equal(machine.zones.of(machine.zones.list[255].first), machine.zones.list[255]);
  });
});
