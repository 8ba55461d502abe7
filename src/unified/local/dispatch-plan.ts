/** In which mode a dispatch is run, and why. Pure: from geometry and counts to a plan. */

import type { DispatchShape, WorkgroupShape } from "../../device/driver.js";
import { MemoryError } from "../../mm/errors.js";
import type { DispatchMode } from "../kernel.js";
import { countPages, planSteps, type PlanRequest, type StepPlan } from "./step-plan.js";

export interface DispatchRequest extends Omit<PlanRequest, "mode"> {
  /** Names of arrays of which nobody knows before what is used; as operands they are whole. */
  readonly unknown: readonly string[];
  /** Can the device run the kernel page by page? */
  readonly canPage: boolean;
  /** Why it can run the kernel in no other way. */
  readonly onlyPaged?: string | undefined;
  readonly mode: "auto" | DispatchMode;
}

export interface DispatchPlan {
  readonly mode: DispatchMode;
  readonly why: string;
  /** Pages that footprints say are used. */
  readonly pages: number;
  /** null of a paged dispatch. */
  readonly steps: StepPlan | null;
}

/**
 * Throws ENOMEM, with both numbers, when the mode that was asked for, or every mode, needs more than there is; ENOTSUP for a
 * mode that the kernel cannot be run in.
 */
export function planDispatch(request: DispatchRequest): DispatchPlan {
  const { kernel, operands, invocations, pageSize, frames, mode, canPage, onlyPaged, unknown } = request;
  const pages = countPages(operands, 0, invocations, pageSize);
  const all = `${pages * pageSize} bytes`;
  const device = `${frames * pageSize} bytes of device memory`;
  const paged = (why: string): DispatchPlan => ({ mode: "paged", why, pages, steps: null });
  if (mode === "paged") {
    if (!canPage)
      throw new MemoryError("ENOTSUP", `kernel "${kernel}" cannot be paged by this device: only kernels in WGSL can`);
    return paged(`mode "paged" was asked for`);
  }
  if (onlyPaged !== undefined) {
    if (mode === "auto") return paged(onlyPaged);
    throw new MemoryError("ENOTSUP", `kernel "${kernel}" runs in mode "paged" alone, not "${mode}": ${onlyPaged}`);
  }
  if (mode !== "auto")
    return { mode, why: `mode "${mode}" was asked for`, pages, steps: planSteps({ ...request, mode }) };
  if (pages > frames && unknown.length > 0 && canPage)
    return paged(`${all} are more than the ${device}, and no footprint says which of "${unknown[0]}" are used when`);
  try {
    const steps = planSteps({ ...request, mode });
    const why =
      steps.mode === "resident"
        ? `${all} fit into the ${device}`
        : `${all} are more than the ${device}, and footprints say what each step uses`;
    return { mode: steps.mode, why, pages, steps };
  } catch (error) {
    if (!canPage || !(error instanceof MemoryError && error.code === "ENOMEM")) throw error;
    return paged(error.message.slice(error.code.length + 2));
  }
}

/**
 * Invocations that a step is a multiple of, so that it has whole workgroups: one of them, a row of them in two dimensions, a
 * slab in three.
 */
export function granuleOf(workgroups: WorkgroupShape | undefined, [x, y, z]: DispatchShape): number {
  const [sizeX, sizeY, sizeZ] = workgroups?.size ?? [1, 1, 1];
  if (workgroups === undefined || (y === 1 && z === 1)) return sizeX;
  return z === 1 ? x * sizeY : x * y * sizeZ;
}
