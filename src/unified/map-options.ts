/** How an array is laid over a file or a blob. */

import type { ElementType } from "../device/element.js";
import type { OptionNames } from "../device/options.js";

/** Of an array over a file or a blob. */
export interface MapSourceOptions<T extends ElementType = ElementType> {
  /** What the bytes are, little endian. */
  type: T;
  /** Bytes of the source before the first element; a multiple of an element's size. Default 0. */
  offset?: number;
  /** Elements. Default: as many as the source has from `offset` on. */
  length?: number;
  /** A name for messages and reports. */
  label?: string;
}

export const MAP_OPTIONS: OptionNames<MapSourceOptions> = { type: true, offset: true, length: true, label: true };
