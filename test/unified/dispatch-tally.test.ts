// What a report advises, by counts and times alone.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { AttachedDevice } from "../../src/device/attached-device.js";
import type { DispatchMode } from "../../src/unified/kernel.js";
import { DispatchTally } from "../../src/unified/local/dispatch-tally.js";

const PAGE = 65_536;

interface Spent {
  readonly mode?: DispatchMode;
  readonly isSoftware?: boolean;
  /** Milliseconds. */
  readonly upload?: number;
  readonly compute?: number;
  readonly steps?: number;
  /** Pages: of the footprint, and moved to the device. */
  readonly used?: number;
  readonly moved?: number;
}

function adviceFor({ mode = "paged", isSoftware = false, ...spent }: Spent): string | undefined {
  const { upload = 0, compute = 0, steps = 1, used = 16, moved = used } = spent;
  const counters = {
    time: { upload: 3, download: 4, compute: 5 },
    toDevice: { explicit: { pages: 0, bytes: 7 } },
    toHost: { fault: { pages: 0, bytes: 9 } },
  };
  const tally = new DispatchTally({
    counters,
    machine: { pageSize: PAGE },
    device: { isSoftware },
  } as unknown as AttachedDevice);
  counters.time.upload += upload;
  counters.time.compute += compute;
  counters.toDevice.explicit.bytes += moved * PAGE;
  return tally.report({ mode, why: "", pages: used, steps: null }, steps, used, 1000).advice;
}

test("what moved more than four times what is used is said, with both numbers", () => {
  assert.equal(adviceFor({ used: 10, moved: 40 }), undefined);
  assert.match(
    adviceFor({ used: 10, moved: 41 }) ?? "",
    new RegExp(`^${41 * PAGE} bytes .* ${10 * PAGE} that are used`),
  );
});

test("copies that take longer than the CPU would need for the same are said, if they are worth a word", () => {
  assert.match(adviceFor({ upload: 60, compute: 1 }) ?? "", /copies took 60 ms and the kernel 1 ms: the CPU would/);
  assert.equal(adviceFor({ upload: 40, compute: 1 }), undefined, "hardly anything");
  assert.equal(adviceFor({ upload: 60, compute: 30 }), undefined, "a kernel that calculates much");
  assert.equal(
    adviceFor({ upload: 60, compute: 1, used: 1600 }),
    undefined,
    "a pass over so much takes the CPU longer",
  );
});

test("waiting for one round after the other is no time of the kernel's", () => {
  assert.match(adviceFor({ compute: 200, steps: 200 }) ?? "", /the CPU would probably be quicker/);
  assert.equal(adviceFor({ compute: 200, steps: 2 }), undefined);
});

test("a device that is a program on the CPU is no faster than the CPU, and slower page by page", () => {
  assert.match(
    adviceFor({ isSoftware: true, compute: 200 }) ?? "",
    /the CPU would probably be quicker, at about \d+ ms/,
  );
  assert.equal(adviceFor({ isSoftware: true, compute: 200, mode: "resident" }), undefined);
  assert.match(adviceFor({ isSoftware: true, compute: 200, upload: 40, mode: "streamed" }) ?? "", /the CPU would/);
});
