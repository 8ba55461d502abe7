/** Kernels of the overlap row, as a module that a worker imports too. */

import type { HostKernel } from "../src/index.js";

/** Numbers of a record, of which one is computed anew: so that a kernel can take as long as copying it, and not longer. */
export const RECORD = 64;

/** `work` steps of Newton's method towards the inverse square root of each record's first number. */
export const newton: HostKernel = {
  writes: ["values"],
  run({ first, count, arrays, base, uniforms }) {
    const values = arrays["values"] as Float32Array;
    const work = uniforms["work"] as number;
    const begin = first * RECORD - base["values"];
    const end = begin + count * RECORD;
    for (let i = begin; i < end; i += RECORD) values[i] = inverseRoot(values[i], work);
  },
};

/** Of numbers from 1 to 3: the guess is good enough for all of them. */
export function inverseRoot(value: number, work: number): number {
  let guess = 0.5;
  for (let step = 0; step < work; step++) guess *= 1.5 - 0.5 * value * guess * guess;
  return guess;
}

/** Says that it writes all, and does nothing: what is left is copying. */
export const nothing: HostKernel = { writes: ["values"], run() {} };
