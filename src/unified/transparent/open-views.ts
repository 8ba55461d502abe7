/** Opens the views of a memory in the thread of its pager, by what Linux has. */

import { openLinuxAccess } from "../../access/transparent/linux/index.js";
import { allocateFrames } from "../../access/transparent/linux/huge-pages.js";
import { System } from "../../access/transparent/linux/system.js";
import { type Environment, realEnvironment } from "../../mm/environment.js";
import type { Engine } from "../local/engine.js";
import { loadOnDemand } from "../local/load-on-demand.js";
import type { TransparentOptions } from "../pager.js";
import { ArrayViews } from "./array-views.js";

interface NodeProcess {
  on(event: "uncaughtException", listener: (error: unknown) => void): void;
}

/** What the thread that makes a memory tells that of its pager. */
export interface TransparentStart {
  /** Where `koffi` is. */
  readonly koffi: string;
  /** Not 0 once the process exits. */
  readonly exiting: Int32Array<SharedArrayBuffer>;
  readonly options: TransparentOptions;
}

/** What a pager with views needs before it is opened, and then. */
export interface PreparedViews {
  readonly environment: Environment;
  readonly open: (engine: Engine) => Promise<ArrayViews>;
}

/** ENOTSUP, saying what is missing, where views cannot be had. */
export async function prepareViews({ koffi, exiting, options }: TransparentStart): Promise<PreparedViews> {
  // Nothing is read from files once threads may wait for pages: the threads that would do it may be among them.
  await loadOnDemand("transparent access");
  const system = await System.load(koffi, exiting);
  return {
    environment: {
      ...realEnvironment,
      // The engine's own copies of shared memory go word by word.
      copy: (to, from) => void system.copyBytes(to, from, to.byteLength),
      allocateRegion: (bytes, pageSize) => allocateFrames(system, bytes, pageSize),
    },
    open: (engine) => open(system, koffi, engine, options),
  };
}

async function open(system: System, koffi: string, engine: Engine, options: TransparentOptions): Promise<ArrayViews> {
  const views = await ArrayViews.open(
    engine,
    (mm, surroundings) => openLinuxAccess(system, koffi, mm, surroundings, options),
    (reason) => system.die(reason),
  );
  // Nobody would answer threads that wait once this one has ended.
  (globalThis as unknown as { process: NodeProcess }).process.on("uncaughtException", (error) =>
    system.die(`the pager has failed: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`),
  );
  return views;
}
