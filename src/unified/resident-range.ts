/** Where the elements of an array are; plain data, the caller's own. */

/**
 * - `"device"`: on the device alone;
 * - `"retained"`: on the device, and host memory still has the same bytes: they leave the device without a copy;
 * - `"host"`: in host memory;
 * - `"moving"`: being copied from one to the other just now;
 * - `"swap"`: where the memory's swap keeps them;
 * - `"lost"`: gone with a device that is lost;
 * - `"none"`: without memory anywhere: not written yet, or not yet read from what the array is mapped from.
 */
export type Place = "device" | "retained" | "host" | "moving" | "swap" | "lost" | "none";

/** Elements `[start, start + length)`, whole pages of them, that are in one place. */
export interface ResidentRange {
  readonly start: number;
  readonly length: number;
  readonly place: Place;
}
