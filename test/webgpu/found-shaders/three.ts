/** What three.js writes for compute nodes. */

import { capturedShaders } from "./captured.js";
import { type FoundShader, load } from "./packages.js";

const nothing = (): number => 0;

export async function threeShaders(device: GPUDevice): Promise<FoundShader[]> {
  const texts = await capturedShaders(async () => {
    const { WebGPURenderer } = await load("three/webgpu");
    const { atomicAdd, Fn, hash, If, instancedArray, instanceIndex, Loop, vec3 } = await load("three/tsl");
    const context = { configure: nothing, unconfigure: nothing };
    const canvas = {
      width: 4,
      height: 4,
      style: {},
      getContext: () => context,
      addEventListener: nothing,
      removeEventListener: nothing,
      setAttribute: nothing,
    };
    const renderer = new WebGPURenderer({ canvas, device });
    await renderer.init();
    const heights = instancedArray(1024, "float");
    const places = instancedArray(1024, "vec3");
    const bins = instancedArray(64, "uint").toAtomic();
    const nodes = [
      Fn(() => heights.element(instanceIndex).assign(hash(instanceIndex).mul(2)))(),
      Fn(() => {
        const place = places.element(instanceIndex);
        place.addAssign(vec3(heights.element(instanceIndex.mul(7).mod(1024))));
        Loop(4, () => {
          If(place.x.greaterThan(1), () => {
            place.x.subAssign(0.5);
          });
        });
      })(),
      Fn(() => atomicAdd(bins.element(instanceIndex.mod(64)), 1))(),
    ];
    for (const node of nodes) await renderer.computeAsync(node.compute(1024));
    await device.queue.onSubmittedWorkDone();
    renderer.dispose();
  });
  return texts.map((text, i) => ({ from: `three.js, node ${i}`, text }));
}
