/**
 * A WebGPU device for tests of the driver alone: host memory that is a plain buffer, and one GPUDevice for a whole test file,
 * on which nothing may go wrong that nobody caught.
 */

import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { CopyList } from "../../src/device/copy-list.js";
import type { DeviceHost } from "../../src/device/driver.js";
import type { WebgpuLimits } from "../../src/device/webgpu/limits.js";
import { WebgpuDevice } from "../../src/device/webgpu/webgpu-device.js";
import { webgpuDevice } from "../../src/device/webgpu/index.js";
import { PAGE } from "../builders.js";
import { TestEnvironment } from "../environments.js";
import { gpu } from "./gpu.js";

/** What shaders of other projects use where it is there. */
const FEATURES: readonly GPUFeatureName[] = ["subgroups"];

let shared: Promise<GPUDevice> | null = null;
const uncaught: string[] = [];

/** The GPUDevice that tests share, with all that the adapter has. */
export function sharedDevice(): Promise<GPUDevice> {
  return (shared ??= ownDevice());
}

/** A GPUDevice for one test, which may destroy it. */
export async function ownDevice(): Promise<GPUDevice> {
  const adapter = (await gpu?.requestAdapter()) ?? assert.fail("no adapter");
  const { maxBufferSize, maxStorageBufferBindingSize, maxStorageBuffersPerShaderStage } = adapter.limits;
  const device = await adapter.requestDevice({
    requiredFeatures: FEATURES.filter((feature) => adapter.features.has(feature)),
    requiredLimits: { maxBufferSize, maxStorageBufferBindingSize, maxStorageBuffersPerShaderStage },
  });
  device.addEventListener("uncapturederror", (event) => uncaught.push(event.error.message));
  return device;
}

/** Fails the test if WebGPU has complained and nobody listened. */
export async function assertNothingUncaught(device: GPUDevice): Promise<void> {
  await device.queue.onSubmittedWorkDone();
  await new Promise((resolve) => setTimeout(resolve));
  assert.deepEqual(uncaught.splice(0), []);
}

export interface DeviceSetup {
  frames?: number;
  hostFrames?: number;
  pageSize?: number;
  limits?: WebgpuLimits;
  debug?: boolean;
  shared?: boolean;
  device?: GPUDevice;
}

export interface OpenedDevice {
  readonly device: WebgpuDevice;
  readonly gpuDevice: GPUDevice;
  /** Frame f is filled with `f + 1`, modulo 256. */
  readonly hostMemory: Uint8Array;
}

/** Opens a device; when the test ends it is closed, and every buffer must be destroyed. */
export async function openDevice(t: TestContext, setup: DeviceSetup = {}): Promise<OpenedDevice> {
  const { frames = 8, hostFrames = 16, pageSize = PAGE, limits = {}, debug = false, shared: isShared = false } = setup;
  const gpuDevice = setup.device ?? (await sharedDevice());
  const bytes = hostFrames * pageSize;
  const hostMemory = new Uint8Array(isShared ? new SharedArrayBuffer(bytes) : new ArrayBuffer(bytes));
  for (let frame = 0; frame < hostFrames; frame++) hostMemory.fill(frame + 1, frame * pageSize, (frame + 1) * pageSize);
  const host: DeviceHost = {
    pageSize,
    environment: new TestEnvironment(),
    debug,
    shared: isShared,
    bytes: (frame, count) => hostMemory.subarray(frame * pageSize, (frame + count) * pageSize),
  };
  const driver = await webgpuDevice({ device: gpuDevice, budget: frames * pageSize, limits });
  const device = await driver.open(host);
  assert.ok(device instanceof WebgpuDevice);
  t.after(async () => {
    await device.close();
    assert.equal(device.buffers.created, device.buffers.destroyed, "a buffer is left");
    assert.equal(device.buffers.bytes, 0);
    await assertNothingUncaught(gpuDevice);
  });
  return { device, gpuDevice, hostMemory };
}

/** Runs are joined as the engine joins them. */
export function copiesOf(...pairs: [host: number, device: number][]): CopyList {
  const list = new CopyList(Math.max(pairs.length, 1));
  for (const [host, frame] of pairs) list.push(host, frame);
  return list;
}

export function clearsOf(...frames: number[]): CopyList {
  const list = new CopyList(Math.max(frames.length, 1));
  for (const frame of frames) list.pushClear(frame);
  return list;
}

/** Is every byte of a page this one? */
export function isFilled(page: Uint8Array, byte: number): boolean {
  const words = new Uint32Array(page.buffer, page.byteOffset, page.byteLength / 4);
  const expected = (byte * 0x01010101) >>> 0;
  for (let i = 0; i < words.length; i++) if (words[i] !== expected) return false;
  return true;
}
