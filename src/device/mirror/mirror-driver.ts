/** What a program makes of the software device before anything opens it: checked options. The device itself is loaded then. */

import { MemoryError } from "../../mm/errors.js";
import type { DeviceDriver } from "../driver.js";
import { loadPart } from "../load-part.js";
import { checkOptions, type OptionNames } from "../options.js";
import { checkLink, type LinkOptions } from "./link-options.js";
import type { MirrorShape } from "./mirror-device.js";

/** Of the software device; all may be left out. */
export interface MirrorOptions {
  /** Bytes of device memory; rounded down to whole pages. Default 256 MiB. */
  budget?: number;
  /** Default "private". */
  kind?: "private" | "coherent";
  name?: string;
  link?: LinkOptions;
}

const OPTIONS: OptionNames<MirrorOptions> = { budget: true, kind: true, name: true, link: true };
const DEFAULT_BUDGET = 256 * 1024 * 1024;

/** The software device: `createUnifiedMemory({ device: mirrorDevice({ budget }) })`. Throws EINVAL for bad options. */
export function mirrorDevice(options: MirrorOptions = {}): DeviceDriver {
  checkOptions("mirrorDevice", options, OPTIONS);
  const { budget = DEFAULT_BUDGET, kind = "private", name = `mirror (${kind}, software)`, link = {} } = options;
  if (!Number.isSafeInteger(budget) || budget <= 0) {
    throw new MemoryError("EINVAL", `device budget of ${budget} bytes is not a whole number above 0`);
  }
  if (kind !== "private" && kind !== "coherent") {
    throw new MemoryError("EINVAL", `a device's kind is "private" or "coherent", not "${String(kind)}"`);
  }
  checkLink(link);
  const shape: MirrorShape = { name, kind, budget, link };
  let isOpen = false;
  const onClose = (): void => {
    isOpen = false;
  };
  return {
    name,
    kind,
    budget,
    open: async (host) => {
      if (isOpen) throw new MemoryError("EBUSY", `${name} is open already: a memory needs a device of its own`);
      isOpen = true;
      try {
        const { MirrorDevice } = await loadPart("the software device", () => import("./mirror-device.js"));
        return new MirrorDevice(host, shape, onClose);
      } catch (error) {
        isOpen = false;
        throw error;
      }
    },
  };
}
