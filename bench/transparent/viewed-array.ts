/** An array that is viewed, whose pages a kernel writes on the device; it needs `npm run tools:transparent`. */

import { execFileSync } from "node:child_process";
import { createUnifiedMemory, type PagedArray, type UnifiedMemory } from "../../src/index.js";
import { skip } from "../../test/transparent/setting.js";
import { expect, NotMeasured } from "../scenario.js";

export interface ViewedArray {
  readonly memory: UnifiedMemory<SharedArrayBuffer>;
  readonly array: PagedArray<"u8", SharedArrayBuffer>;
  readonly view: Uint8Array<SharedArrayBuffer>;
  /** Sends all pages to the device, where each is changed. */
  readonly toDevice: () => Promise<void>;
  /** What the first byte of each page is. */
  readonly mark: () => number;
}

export async function openViewed(pageSize: number, pages: number): Promise<ViewedArray> {
  if (skip !== false) throw new NotMeasured(skip);
  await import("../../test/transparent/resolve-koffi.js");
  const memory = await createUnifiedMemory({
    cpuAccess: "transparent",
    pageSize,
    device: { export: "mirrorDevice", options: { budget: pages * pageSize } },
  });
  const array = memory.createArray("u8", pages * pageSize);
  await array.fill(0);
  const view = await array.view();
  const kernel = await memory.createKernel({
    host: { module: new URL("./kernel.js", import.meta.url), export: "writePages" },
    footprint: { bytes: { each: pageSize } },
  });
  let mark = 0;
  const toDevice = async (): Promise<void> => {
    await kernel.dispatch({ invocations: pages, arrays: { bytes: array }, uniforms: { pageSize } });
    mark = (mark + 1) % 256;
  };
  return { memory, array, view, toDevice, mark: () => mark };
}

/** All threads of this process on one processor, as those are that it is compared with. */
export function pinTo(processor: number): void {
  try {
    execFileSync("taskset", ["-acp", String(processor), String(process.pid)], { stdio: "ignore" });
  } catch {
    throw new NotMeasured("taskset is missing, which keeps both sides on one processor");
  }
}

export function expectMarks({ view, mark }: ViewedArray, pageSize: number): void {
  for (let at = 0; at < view.length; at += pageSize)
    expect(view[at] === mark(), `the page at ${at} has ${view[at]}, not ${mark()}`);
}
