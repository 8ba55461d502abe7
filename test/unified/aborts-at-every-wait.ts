// Aborts an operation at its first wait for a source or a store, then at its second, until it ends before the abort.

import assert from "node:assert/strict";

type Act = (signal: AbortSignal) => Promise<unknown>;

/** `waiting.pause` is awaited by what the operations wait for; `check` is called after each. */
export async function abortAtEveryWait(
  waiting: { pause: (() => Promise<void>) | null },
  acts: readonly Act[],
  check: () => void,
): Promise<void> {
  for (const act of acts) {
    for (let after = 1; ; after++) {
      const controller = new AbortController();
      let waits = 0;
      waiting.pause = async () => {
        if (++waits === after) controller.abort(new Error("enough"));
      };
      const result = await act(controller.signal).then(
        (done) => ({ done }),
        (error: unknown) => ({ error }),
      );
      if ("done" in result) (result.done as { release?(): void } | undefined)?.release?.();
      else assert.equal(String(result.error), "Error: enough");
      check();
      if (waits < after) break;
    }
  }
  waiting.pause = null;
}
