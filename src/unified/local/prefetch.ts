/** Pages ahead of their use: to the device, or to host memory from wherever they are. */

import { migrateToHost } from "../../device/migrate-to-host.js";
import type { AddressSpace } from "../../mm/space/address-space.js";
import type { Checkpoint } from "../operation-queue.js";
import { deviceEngine } from "./device-engine.js";
import type { Engine } from "./engine.js";

/** To the device only as many as it has room for. */
export async function prefetch(
  engine: Engine,
  to: "device" | "host",
  first: number,
  end: number,
  checkpoint: Checkpoint,
): Promise<void> {
  if (to === "host") {
    await migrateToHost(engine.attached, engine.mm, first, end, "prefetch", checkpoint);
    await prefetchFromStores(engine.mm, first, end, checkpoint);
    return;
  }
  const { residency } = deviceEngine(engine);
  await residency.prefetch(first, Math.min(end, first + residency.freeable), checkpoint);
}

/** Reads pages of a range into host memory, from the first on, as many as fit into the budget at once. */
async function prefetchFromStores(mm: AddressSpace, start: number, end: number, checkpoint: Checkpoint): Promise<void> {
  const { paging, host } = mm.machine;
  if (!paging.isPossible) return;
  const until = Math.min(end, start + host.charge.limit);
  for (let page = start; page < until;) {
    checkpoint();
    const next = Math.min(until, page + paging.pagesAtOnce(until - page));
    await paging.readIn(mm, page, next);
    page = next;
  }
}
