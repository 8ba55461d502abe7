/** Runs one scenario, named by the first message from the parent process, and answers with what it found. */

import { type Figure } from "./figure.js";
import { NotMeasured, WrongResult } from "./scenario.js";
import { SCENARIOS } from "./scenarios.js";

export interface Order {
  readonly name: string;
  readonly smoke: boolean;
}

export type Answer =
  | { readonly figures: readonly Figure[] }
  | { readonly wrong: string }
  | { readonly notMeasured: string };

async function perform({ name, smoke }: Order): Promise<Answer> {
  const scenario = SCENARIOS.find((candidate) => candidate.name === name);
  if (scenario === undefined) throw new Error(`no scenario is called ${name}`);
  try {
    return { figures: await scenario.run({ smoke }) };
  } catch (error) {
    if (error instanceof WrongResult) return { wrong: error.message };
    if (error instanceof NotMeasured) return { notMeasured: error.message };
    throw error;
  }
}

process.once("message", (order: Order) => {
  void perform(order).then((answer) => process.send?.(answer, () => process.disconnect()));
});
// The answer is sent, or the parent is gone.
process.once("disconnect", () => process.exit());
