/** What an engine needs when something first goes to its device. */

import { BoundPages } from "./bound-pages.js";
import type { DeviceEngine, Engine } from "./engine.js";
import { Residency } from "./residency.js";

export function deviceEngine(engine: Engine): DeviceEngine {
  engine.residency ??= new Residency(engine.attached, engine.mm);
  engine.bound ??= new BoundPages();
  return engine as DeviceEngine;
}
