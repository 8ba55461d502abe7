/** A kernel with more arrays than its device can bind one by one: it runs page by page alone, where it binds the pools. */

import { MemoryError } from "../../../mm/errors.js";
import type { DeviceKernel, PagedDispatch, PagedRun, WorkgroupShape } from "../../driver.js";
import type { PagedDispatches } from "./paged-dispatches.js";

export class OnlyPagedKernel implements DeviceKernel {
  readonly runsBeside = true;
  readonly workgroups: WorkgroupShape;
  readonly onlyPaged: string;
  readonly #paged: PagedDispatches;

  constructor(workgroups: WorkgroupShape, paged: PagedDispatches, why: string) {
    this.workgroups = workgroups;
    this.onlyPaged = why;
    this.#paged = paged;
  }

  get scratchBytes(): number {
    return this.#paged.bytes;
  }

  beginPaged(dispatch: PagedDispatch): Promise<PagedRun> {
    return this.#paged.begin(dispatch);
  }

  async execute(): Promise<void> {
    throw new MemoryError("ENOTSUP", this.onlyPaged);
  }
}
