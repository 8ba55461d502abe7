/** The worker of a memory whose pager is in a thread of its own: makes the memory, and serves the port of who started it. */

import { answerRequests } from "../../device/answer-requests.js";
import type { SharedMemoryOptions } from "../create-unified-memory.js";
import type { DeviceModule } from "../local/device-module.js";
import { openPager } from "../local/open-pager.js";
import type { Port } from "../pager.js";

/** What the worker is asked to make. */
export interface PagerStart {
  readonly port: Port;
  readonly device: DeviceModule | undefined;
  readonly swapFile: { readonly path: string; readonly isUrl: boolean; readonly limit?: number } | undefined;
  readonly hostBudget: number | undefined;
  readonly pageSize: number | undefined;
  readonly debug: boolean | undefined;
}

answerRequests(async (message) => {
  const { port, device, swapFile, hostBudget, pageSize, debug } = message as PagerStart;
  const options: SharedMemoryOptions = { shared: true };
  if (device !== undefined) options.device = device;
  if (hostBudget !== undefined) options.hostBudget = hostBudget;
  if (pageSize !== undefined) options.pageSize = pageSize;
  if (debug !== undefined) options.debug = debug;
  if (swapFile !== undefined) {
    const { path, isUrl, ...rest } = swapFile;
    options.swapFile = { ...rest, path: isUrl ? new URL(path) : path };
  }
  const pager = await openPager(options);
  pager.serve(port, "owner", {
    destroy: () => pager.close(),
    replaceDevice: (next, operation) => pager.replaceDevice(next, operation),
  });
});
