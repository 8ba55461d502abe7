/** What everything rejects with that needs a device which is gone. */

import { MemoryError } from "../mm/errors.js";

/** In WebGPU's words: "destroyed" by the program that owns it, or gone for a reason that only the message may tell. */
export type DeviceLostReason = "unknown" | "destroyed";

/** A device that is gone: reset, taken out, crashed, or destroyed by whoever owns it. Its code is ENODEV. */
export class DeviceLostError extends MemoryError {
  override readonly name = "DeviceLostError";
  readonly reason: DeviceLostReason;
  /** What is known of it, without the name of the device. */
  readonly details: string;

  /** `device` is the name of its driver. */
  constructor(device: string, reason: DeviceLostReason, details: string, options?: ErrorOptions) {
    super("ENODEV", `${device} is lost (${reason})${details === "" ? "" : `: ${details}`}`, options);
    this.reason = reason;
    this.details = details;
  }
}
