/** A module of kernels, as programs have them: imported where the pager is, and by the worker that runs them. */

import { isMainThread } from "node:worker_threads";
import type { HostKernel, KernelRange } from "../../src/device/driver.js";

/** y[i] += x[i] * factor. */
export const scaleAdd: HostKernel = {
  writes: ["y"],
  run({ first, count, arrays, base, uniforms }: KernelRange) {
    const x = arrays["x"];
    const y = arrays["y"];
    for (let i = first; i < first + count; i++) y[i - base["y"]] += x[i - base["x"]] * uniforms["factor"];
  },
};

/** y[i] is 1 in the pager's thread, 2 in a worker. */
export const place: HostKernel = {
  writes: ["y"],
  run: ({ arrays }) => arrays["y"].fill(isMainThread ? 1 : 2),
};

/** y[i] is how often this module has run it, in this thread. */
export const counting: HostKernel = {
  writes: ["y"],
  run: ({ arrays }) => arrays["y"].fill(++count),
};
let count = 0;

export const picky: HostKernel = {
  writes: ["y"],
  run(range) {
    if (range.first >= 2048) throw Object.assign(new RangeError("not this one"), { element: range.first });
    scaleAdd.run(range);
  },
};

export const throwing: HostKernel = {
  writes: ["y"],
  run() {
    // oxlint-disable-next-line only-throw-error -- what a careless kernel does
    throw "a string";
  },
};

export const awaiting: HostKernel = { writes: ["y"], run: Object.assign(() => Promise.resolve()) };

/** Ends its worker in the way that `how` says; without one it does what `scaleAdd` does. */
export const dying: HostKernel = {
  writes: ["y"],
  run(range) {
    const { how } = range.uniforms;
    if (isMainThread) throw new Error("this kernel is for a worker");
    if (how === "exit") process.exit(3);
    if (how === "later") {
      setImmediate(() => {
        throw new Error("after the step");
      });
    }
    scaleAdd.run(range);
  },
};

/** Takes `milliseconds` a step. */
export const slow: HostKernel = {
  writes: ["y"],
  run(range) {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, range.uniforms["milliseconds"] as number);
    scaleAdd.run(range);
  },
};

/** What it is given of x goes to y, byte for byte, and what x has becomes 255. */
export const moving: HostKernel = {
  writes: ["x", "y"],
  run({ arrays, base, first, count, uniforms }) {
    if (first !== 7 || count !== 9 || base["x"] !== 1000 || base["y"] !== 2000)
      throw new RangeError("not what was asked");
    arrays["y"].set(arrays["x"]);
    if (uniforms["written"] === true) arrays["x"].fill(255);
  },
};

/** Never ends. */
export const endless: HostKernel = {
  writes: [],
  run() {
    for (;;);
  },
};

export const noKernel = { run: 1 };
