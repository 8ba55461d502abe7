/** What a device sees of pages when it only looks, in words: where each page is, and what the device may do. */

import type { Client } from "../../src/cli/conform/recording-driver.js";
import {
  HMM_ERROR,
  HMM_FRAME_SHIFT,
  HMM_HUGE,
  HMM_VALID,
  HMM_WRITE,
  hmmSnapshot,
  ZONE_COHERENT,
  ZONE_PRIVATE,
} from "../../src/mm/index.js";

export function viewOf(client: Client, first: number, end: number): string[] {
  const seen = new Int32Array(end - first);
  hmmSnapshot(client.mm, first, end, client.device, seen);
  return [...seen].map((word) => describe(client, word));
}

function describe(client: Client, seen: number): string {
  if ((seen & HMM_ERROR) !== 0) return "error";
  if ((seen & HMM_VALID) === 0) return "nothing";
  const place = placeOf(client, seen >>> HMM_FRAME_SHIFT);
  const permission = (seen & HMM_WRITE) === 0 ? "read" : "write";
  return (seen & HMM_HUGE) === 0 ? `${place}, ${permission}` : `${place}, ${permission}, huge`;
}

function placeOf({ mm, device }: Client, frame: number): string {
  if (frame === 0) return "zero page";
  const { kind, pageMap } = mm.machine.zones.of(frame);
  const owner = pageMap?.owner === device ? "own" : "other";
  if (kind === ZONE_PRIVATE) return `${owner} private`;
  return kind === ZONE_COHERENT ? `${owner} coherent` : "system";
}
