/** The worker of a memory whose pager is in a thread of its own: makes the memory, and serves the port of who started it. */

import { answerRequests } from "../../device/answer-requests.js";
import type { SharedMemoryOptions } from "../create-unified-memory.js";
import type { DeviceModule } from "../local/device-module.js";
import { useFilesOfThisThread } from "../local/node-files.js";
import { openPager } from "../local/open-pager.js";
import type { LocalPager } from "../local/local-pager.js";
import type { Port } from "../pager.js";
import type { ArrayViews } from "../transparent/array-views.js";
import type { PreparedViews, TransparentStart } from "../transparent/open-views.js";

/** What the worker is asked to make. */
export interface PagerStart {
  readonly port: Port;
  readonly device: DeviceModule | undefined;
  readonly swapFile: { readonly path: string; readonly isUrl: boolean; readonly limit?: number } | undefined;
  readonly hostBudget: number | undefined;
  readonly pageSize: number | undefined;
  readonly debug: boolean | undefined;
  /** null without transparent access. */
  readonly transparent: TransparentStart | null;
}

/** What is in force, of a memory with transparent access. */
export interface PagerStarted {
  /** Of the process, which threads wait by. */
  readonly descriptor: number | null;
}

answerRequests(async (message): Promise<PagerStarted | null> => {
  const { port, device, swapFile, hostBudget, pageSize, debug, transparent } = message as PagerStart;
  const options: SharedMemoryOptions = { shared: true };
  if (device !== undefined) options.device = device;
  if (hostBudget !== undefined) options.hostBudget = hostBudget;
  if (pageSize !== undefined) options.pageSize = pageSize;
  if (debug !== undefined) options.debug = debug;
  if (swapFile !== undefined) {
    const { path, isUrl, ...rest } = swapFile;
    options.swapFile = { ...rest, path: isUrl ? new URL(path) : path };
  }
  const prepared = transparent === null ? null : await prepareViews(transparent);
  if (prepared !== null) options.environment = prepared.environment;
  const pager = await openPager(options);
  const views = prepared === null ? null : await openViews(pager, prepared);
  pager.serve(port, "owner", {
    destroy: () => pager.close(),
    replaceDevice: (next, operation) => pager.replaceDevice(next, operation),
  });
  return views === null ? null : { descriptor: views.descriptor };
});

async function prepareViews(start: TransparentStart): Promise<PreparedViews> {
  useFilesOfThisThread();
  const { prepareViews: prepare } = await import("../transparent/open-views.js");
  return prepare(start);
}

async function openViews(pager: LocalPager, { open }: PreparedViews): Promise<ArrayViews> {
  try {
    return await pager.openViews(open);
  } catch (error) {
    await pager.close();
    throw error;
  }
}
