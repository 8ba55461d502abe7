/** Starts a worker with a pager in it, and connects to it. */

import { Thread } from "../../device/thread.js";
import { MemoryError } from "../../mm/errors.js";
import type { SharedMemoryOptions, TransparentMemoryOptions } from "../create-unified-memory.js";
import { checkAccess, ThisProcess } from "../transparent/this-process.js";
import type { PagerStart, PagerStarted } from "../serve/pager-thread.js";
import { createChannel } from "./channel.js";
import { Connection } from "./connection.js";
import { postedDevice } from "./posted-device.js";
import { RemotePager } from "./remote-pager.js";

/** Rejects with what `createUnifiedMemory` rejects with there, or with the signal's reason; the worker is ended then. */
export async function startPager(options: SharedMemoryOptions | TransparentMemoryOptions): Promise<RemotePager> {
  const { signal } = options;
  const access = options.cpuAccess ?? "pinned";
  const { pager = "worker", shared = access === "transparent" } = options;
  checkAccess(access, (options as TransparentMemoryOptions).transparent);
  if ((pager as unknown) === "here") throw new MemoryError("EINVAL", 'cpuAccess: "transparent" needs pager: "worker"');
  if (pager !== "worker") throw new MemoryError("EINVAL", `pager is "here" or "worker", not "${String(pager)}"`);
  if (!shared) throw new MemoryError("EINVAL", 'pager: "worker" needs shared: true');
  const transparent =
    access === "transparent"
      ? await ThisProcess.prepare((options as TransparentMemoryOptions).transparent ?? {})
      : null;
  const start = pack(options, transparent);
  let connection: Connection | null = null;
  const thread = new Thread(
    "pager",
    (Worker) => new Worker(new URL("../serve/pager-thread.js", import.meta.url), { type: "module" }),
    (reason) => {
      transparent?.pagerEnded(reason);
      connection?.end(reason);
    },
  );
  const end = (): Promise<void> => {
    transparent?.leave();
    return thread.terminate(new MemoryError("EINVAL", "the memory is destroyed"));
  };
  let onAbort = (): void => {};
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(signal?.reason);
  });
  signal?.addEventListener("abort", onAbort);
  try {
    const { port1, port2 } = createChannel();
    const starting = thread.request<PagerStarted | null>({ ...start, port: port2 } satisfies PagerStart, [port2]);
    const started = await Promise.race([starting, aborted]);
    if (typeof started?.descriptor === "number") transparent?.enter(started.descriptor);
    connection = await Connection.open(port1);
    return new RemotePager(connection, end);
  } catch (error) {
    await end();
    throw error;
  } finally {
    signal?.removeEventListener("abort", onAbort);
  }
}

/** What can be posted of the options. EINVAL, naming it, for one that cannot. */
function pack(
  options: SharedMemoryOptions | TransparentMemoryOptions,
  transparent: ThisProcess | null,
): Omit<PagerStart, "port"> {
  const { device, environment, swapStore, swapFile, hostBudget, pageSize, debug } = options as SharedMemoryOptions;
  const posted = device === undefined ? undefined : postedDevice(device);
  if (environment !== undefined || swapStore !== undefined) {
    const name = environment === undefined ? "swapStore" : "environment";
    throw new MemoryError("EINVAL", `${name} has functions, which cannot be posted to the pager`);
  }
  const file = typeof swapFile === "string" || swapFile instanceof URL ? { path: swapFile } : swapFile;
  return {
    device: posted,
    swapFile: file === undefined ? undefined : { ...file, path: String(file.path), isUrl: file.path instanceof URL },
    hostBudget,
    pageSize,
    debug,
    transparent: transparent?.start ?? null,
  };
}
