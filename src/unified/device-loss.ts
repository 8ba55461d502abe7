/** The loss of a device as programs hear of it. */

import type { DeviceLostReason } from "../device/device-lost-error.js";
import type { ElementType } from "../device/element.js";
import { elementRange } from "./lost-elements.js";
import type { PagedArray } from "./paged-array.js";
import type { PagerLoss } from "./pager.js";

/** Elements `[start, start + length)` of an array that are lost. */
export interface LostRange {
  readonly array: PagedArray<ElementType, ArrayBufferLike>;
  /** The array's. */
  readonly label: string;
  readonly start: number;
  readonly length: number;
}

/** That a device is lost, in WebGPU's words (`GPUDeviceLostInfo`), and what was nowhere else. */
export interface DeviceLoss {
  readonly reason: DeviceLostReason;
  readonly message: string;
  /** Whole pages, merged, by array and in ascending order. */
  readonly ranges: readonly LostRange[];
}

export function lossOf(
  { error, runsOf }: PagerLoss,
  arrays: Iterable<PagedArray<ElementType, ArrayBufferLike>>,
  pageSize: number,
): DeviceLoss {
  const ranges: LostRange[] = [];
  for (const array of arrays) {
    const runs = runsOf(array.mapping);
    for (let i = 0; i < runs.length; i += 2)
      ranges.push({ array, label: array.label, ...elementRange(array, runs[i], runs[i + 1], pageSize) });
  }
  return { reason: error.reason, message: error.details, ranges };
}
