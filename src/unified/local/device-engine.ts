/** What an engine needs when something first goes to its device. */

import type { Checkpoint } from "../operation-queue.js";
import { BoundPages } from "./bound-pages.js";
import type { DeviceEngine, Engine } from "./engine.js";
import { Residency } from "./residency.js";

export function deviceEngine(engine: Engine): DeviceEngine {
  engine.residency ??= new Residency(engine.attached, engine.mm);
  engine.bound ??= new BoundPages();
  return engine as DeviceEngine;
}

/** Moves as many pages from `start` on as fit. */
export async function prefetchToDevice(
  engine: Engine,
  start: number,
  end: number,
  checkpoint: Checkpoint,
): Promise<void> {
  const { residency } = deviceEngine(engine);
  await residency.prefetch(start, Math.min(end, start + residency.freeable), checkpoint);
}
