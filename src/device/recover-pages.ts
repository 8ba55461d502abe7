/**
 * What becomes of the pages of a device that is lost: those that the host still has are at home again, the others are marked
 * as lost, and the device's frame numbers are free for the next one.
 *
 * Invariant: pages whose migration is under way are waited for; since every copy of a lost device rejects, each ends.
 */

import { PG_LOCKED } from "../mm/frames/frames.js";
import { memoryFailure, type OnLost } from "../mm/memory-failure.js";
import type { AttachedDevice } from "./attached-device.js";

/**
 * Takes all pages off a device after its `lost` has resolved, and closes it. Nothing else of it is used afterwards. `onLost`
 * hears of the pages whose only copy was there.
 */
export async function recoverPages(attached: AttachedDevice, onLost: OnLost = () => {}): Promise<void> {
  const { counters, device, machine, zone } = attached;
  const { frames, host, pageLocks } = machine;
  for (let frame = zone.first; frame < zone.first + zone.frames; frame++) {
    while ((frames.flags(frame) & PG_LOCKED) !== 0) await pageLocks.wait(frame);
    if (frames.refcount(frame) === 0) continue;
    if (host.retained.hasCopy(frame)) {
      counters.droppedClean.pages++;
      counters.droppedClean.bytes += machine.pageSize;
    }
    memoryFailure(machine, frame, onLost);
  }
  attached.forgetAll();
  machine.removeDeviceMemory(zone);
  await device.close();
}
