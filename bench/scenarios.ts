/** All scenarios, in the order of the table. */

import { copyingInOrder, copyingScrambled } from "./copying.js";
import { mainJob, residentKernel } from "./main-job.js";
import { metadata } from "./metadata.js";
import { overlap } from "./overlap.js";
import { pinAndRelease, pinnedView } from "./pins.js";
import { protocolAtHome, protocolScrambled } from "./protocol.js";
import { replayed } from "./replay.js";
import type { Scenario } from "./scenario.js";
import { snapshotTaken, writeAfterSnapshot } from "./snapshot.js";
import { swapFile } from "./swap-file.js";
import { workerPins } from "./worker-pins.js";
import { writingKernel } from "./writing-kernel.js";
import { viewScenarios } from "./transparent/views.js";
import { oneMiss } from "./webgpu/one-miss.js";
import {
  breadthFirstAtAQuarter,
  gatherAtAQuarter,
  gatherResident,
  pageRankAtAQuarter,
  pageRankResident,
} from "./webgpu/paged.js";
import { residentOnGpu } from "./webgpu/resident.js";
import { streamedInPlace, streamedReadOnly, streamedReduce } from "./webgpu/streamed.js";
import { transfersOnGpu } from "./webgpu/transfers.js";

export const SCENARIOS: readonly Scenario[] = [
  protocolAtHome,
  protocolScrambled,
  copyingInOrder,
  copyingScrambled,
  pinAndRelease,
  pinnedView,
  workerPins,
  mainJob,
  residentKernel,
  writingKernel,
  overlap,
  snapshotTaken,
  writeAfterSnapshot,
  metadata,
  swapFile,
  replayed,
  transfersOnGpu,
  residentOnGpu,
  streamedReadOnly,
  streamedInPlace,
  streamedReduce,
  ...viewScenarios,
  gatherResident,
  pageRankResident,
  gatherAtAQuarter,
  pageRankAtAQuarter,
  breadthFirstAtAQuarter,
  oneMiss,
];
