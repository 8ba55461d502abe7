/**
 * The device that the page computes on: the GPU where the browser has one, else the software device. The page's address can
 * ask for one: `?device=webgpu` takes an adapter that is software too, `?device=mirror` none.
 */

import { type DeviceDriver, mirrorDevice } from "pageferry";

export interface ChosenDevice {
  readonly driver: DeviceDriver;
  readonly name: "webgpu" | "mirror";
  /** Why this one: the end of a sentence. */
  readonly why: string;
}

/** Bytes a second: the software device stands behind a link like that of a graphics card, so that copies take their time. */
const LINK = { bandwidth: 4e9 };

export async function chooseDevice(budget: number): Promise<ChosenDevice> {
  const asked = new URLSearchParams(location.search).get("device") ?? "auto";
  const mirror = (why: string): ChosenDevice => ({
    driver: mirrorDevice({ budget, link: LINK }),
    name: "mirror",
    why,
  });
  if (asked === "mirror") return mirror("because the address asks for it");
  if (asked !== "webgpu" && asked !== "auto") throw new Error(`there is no device "${asked}": webgpu, mirror or auto`);
  const adapter = (await navigator.gpu?.requestAdapter({ powerPreference: "high-performance" })) ?? null;
  if (adapter === null) {
    if (asked === "webgpu") throw new Error("this browser has no WebGPU adapter: ?device=mirror computes without");
    return mirror("because this browser has no WebGPU adapter");
  }
  const { softwareName, webgpuDevice } = await import("pageferry/webgpu");
  const software = softwareName(adapter.info);
  if (asked === "auto" && software !== null)
    return mirror(`because the only WebGPU adapter is ${software}, which computes on the CPU`);
  const driver = await webgpuDevice({ budget, adapter });
  return {
    driver,
    name: "webgpu",
    why: asked === "auto" ? "because there is a GPU" : "because the address asks for it",
  };
}
