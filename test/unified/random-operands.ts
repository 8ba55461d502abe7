/** Geometry for tests, decided by a seed that is printed, so that a failure can be had again. */

import type { TestContext } from "node:test";
import type { Footprint, Operand } from "../../src/unified/footprint.js";
import { seededRandom } from "../environments.js";

/** Runs the body with as many seeds, and names the one that failed. */
export async function withSeeds(
  t: TestContext,
  seeds: number,
  body: (random: () => number, seed: number) => void | Promise<void>,
): Promise<void> {
  for (let seed = 1; seed <= seeds; seed++) {
    try {
      await body(seededRandom(seed), seed);
    } catch (error) {
      t.diagnostic(`seed ${seed} of ${seeds} failed`);
      throw error;
    }
  }
}

export function pick<T>(random: () => number, choices: readonly [T, ...T[]]): T {
  return choices[Math.floor(random() * choices.length)] ?? choices[0];
}

/** A whole number from `least` to `most`. */
export function between(random: () => number, least: number, most: number): number {
  return least + Math.floor(random() * (most - least + 1));
}

/** An array of a few pages with a footprint, with halos that may be larger than pages. */
export function randomOperand(random: () => number, pageSize: number): Operand {
  const stride = pick(random, [1, 2, 4, 8]);
  const length = between(random, 1, (6 * pageSize) / stride);
  const each = Math.min(length, pick(random, [1, 1, 2, 3, 5, 8, 25, pageSize / stride, between(random, 1, 40)]));
  const halo = (): number =>
    pick(random, [0, 0, 1, 3, pageSize / stride, between(random, 0, (3 * pageSize) / stride), 10 * pageSize]);
  const footprint: Footprint = random() < 0.15 ? "whole" : { each, before: halo(), after: halo() };
  return { name: `array ${between(random, 1, 99)}`, footprint, stride, length };
}
