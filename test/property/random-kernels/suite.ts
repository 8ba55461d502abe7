/** The suite of random kernels, which all devices have in common. */

import { test } from "node:test";
import type fc from "fast-check";
import type { DispatchMode } from "../../../src/unified/kernel.js";
import { SHARED } from "../../builders.js";
import { search } from "../search.js";
import { Matrix, type Tried, tryAll } from "./dispatch.js";
import { combinedKernels, type Property, type RandomKernel, randomKernels } from "./kernel.js";

export interface SuiteSetup {
  /** The test file, for who wants to see a failure again. */
  readonly file: string;
  readonly properties: readonly Property[];
  /** Kernels of each kind, at least. */
  readonly kernels: number;
}

export function suiteOfRandomKernels({ file, properties, kernels }: SuiteSetup): void {
  const kinds: readonly (readonly [name: string, programs: fc.Arbitrary<RandomKernel>])[] = [
    // Over shared machines each memory starts a thread.
    ...(SHARED ? [] : properties.map((property) => [property, randomKernels([property])] as const)),
    ["combined", combinedKernels(properties)],
  ];
  const matrix = new Matrix();
  for (const [name, programs] of kinds) {
    test(`random kernels, ${name}: in every mode, from two pages to everything, what plain loops leave`, async (t) => {
      await search({
        name: `random kernels, ${name}`,
        file,
        programs,
        run: async (kernel: RandomKernel) => {
          const tried: readonly Tried[] = await tryAll(kernel);
          for (const { mode, budget, outcome } of tried) matrix.note(name, mode, budget, outcome);
          const ranIn = (mode: DispatchMode): boolean =>
            tried.some((each) => each.mode === mode && each.small && each.outcome === "ran");
          return { steps: ranIn("streamed") && ranIn("paged") ? 1 : 0 };
        },
        // Kernels are drawn until one has run both ways where not all that it uses has room.
        steps: 1,
        batch: kernels,
        print: (line) => t.diagnostic(line),
      });
    });
  }

  test("random kernels: every kind in every mode over every budget", (t) => {
    matrix.print(
      kinds.map(([name]) => name),
      (line) => t.diagnostic(line),
    );
  });
}
