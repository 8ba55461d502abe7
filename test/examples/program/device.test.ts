import assert from "node:assert/strict";
import { test } from "node:test";
import { chooseDevice, type FoundAdapter } from "../../../examples/program/device.js";
import { softwareName } from "../../../src/device/webgpu/software-adapter.js";
import type { JobFailure } from "../../../examples/program/failure.js";

const budget = 2 ** 20;

const absent: FoundAdapter = { adapter: null, missing: "the package webgpu is not installed", install: true };
const noAdapter: FoundAdapter = { adapter: null, missing: "WebGPU finds no adapter", install: false };

function adapter(info: Partial<GPUAdapterInfo>, requestDevice = () => Promise.reject(new Error("no"))): FoundAdapter {
  const whole = { description: "", device: "", architecture: "", vendor: "", isFallbackAdapter: false, ...info };
  return { adapter: { info: whole, limits: {}, features: new Set(), requestDevice } as unknown as GPUAdapter };
}

test("the mirror that is asked for is taken without a look at WebGPU", async () => {
  const { name, driver, why } = await chooseDevice("mirror", budget, () => assert.fail("looked"));
  assert.deepEqual([name, driver.budget, why], ["mirror", budget, "it was asked for"]);
});

test("where the package is absent, auto takes the mirror and says the one line that installs it", async () => {
  const { name, why } = await chooseDevice("auto", budget, () => Promise.resolve(absent));
  assert.deepEqual([name, why], ["mirror", "the package webgpu is not installed; for a GPU: npm install webgpu"]);
});

test("where there is no adapter, auto takes the mirror and says so, without a line that would not help", async () => {
  const { name, why } = await chooseDevice("auto", budget, () => Promise.resolve(noAdapter));
  assert.deepEqual([name, why], ["mirror", "WebGPU finds no adapter"]);
});

test("webgpu that is asked for and cannot be had is an error; auto goes on with the mirror", async () => {
  await assert.rejects(
    chooseDevice("webgpu", budget, () => Promise.resolve(absent)),
    (error: JobFailure) => {
      assert.deepEqual([error.code, error.message], ["ENODEV", "--device webgpu: the package webgpu is not installed"]);
      assert.ok(error.waysOut[0].startsWith("npm install webgpu "));
      return true;
    },
  );
  await assert.rejects(
    chooseDevice("webgpu", budget, () => Promise.resolve(noAdapter)),
    (error: JobFailure) => error.code === "ENODEV" && !error.waysOut.some((way) => way.includes("install")),
  );
  const broken = (): Promise<FoundAdapter> => Promise.resolve(adapter({ description: "A GPU" }));
  await assert.rejects(chooseDevice("webgpu", budget, broken), {
    code: "ENODEV",
    message: "--device webgpu: the WebGPU adapter gives no device: no",
  });
  const { name, why } = await chooseDevice("auto", budget, broken);
  assert.deepEqual([name, why], ["mirror", "the WebGPU adapter gives no device: no"]);
});

test("auto does not take an adapter that computes on the CPU, and names it", async () => {
  for (const info of [
    { vendor: "google", architecture: "swiftshader", description: "SwiftShader Device (Subzero)" },
    { vendor: "mesa", device: "llvmpipe (LLVM 15.0.6, 256 bits)" },
    { description: "Microsoft Basic Render Driver" },
    { vendor: "someone", isFallbackAdapter: true },
  ]) {
    const { name, why } = await chooseDevice("auto", budget, () => Promise.resolve(adapter(info)));
    assert.equal(name, "mirror");
    assert.match(why, /^the only WebGPU adapter is .+, which computes on the CPU \(--device webgpu takes it\)$/);
  }
});

test("GPUs are not taken for software", () => {
  for (const info of [
    { vendor: "nvidia", architecture: "hopper", description: "NVIDIA H100 80GB HBM3" },
    { vendor: "amd", architecture: "rdna-3", description: "AMD Radeon RX 7900 (RADV NAVI31)" },
    { vendor: "intel", architecture: "gen-12lp", description: "Intel(R) Iris(R) Xe Graphics" },
    { vendor: "apple", architecture: "metal-3", description: "" },
    {},
  ]) {
    const { adapter: made } = adapter(info);
    assert.equal(softwareName(made!.info), null);
  }
});
