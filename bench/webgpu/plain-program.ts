/** What WebGPU programs without this library are made of: pipelines with layouts of their own, buffers, dispatches of rows. */

import {
  BUFFER_COPY_DST,
  BUFFER_COPY_SRC,
  BUFFER_MAP_READ,
  BUFFER_STORAGE,
  BUFFER_UNIFORM,
  MAP_READ,
} from "../../src/device/webgpu/usage.js";

/** Workgroups of one dimension that every device takes. */
const MOST_WORKGROUPS = 65_535;

export class PlainProgram {
  readonly device: GPUDevice;
  readonly #buffers: GPUBuffer[] = [];

  constructor(device: GPUDevice) {
    this.device = device;
  }

  storage(bytes: number): GPUBuffer {
    return this.#keep({ size: bytes, usage: BUFFER_STORAGE | BUFFER_COPY_SRC | BUFFER_COPY_DST });
  }

  /** A buffer that JavaScript maps: `usage` says for which direction. */
  mappable(bytes: number, usage: GPUBufferUsageFlags, mappedAtCreation = false): GPUBuffer {
    return this.#keep({ size: bytes, usage, mappedAtCreation });
  }

  /** The numbers of a uniform, which never change. */
  uniform(words: ArrayBufferView<ArrayBuffer>): GPUBuffer {
    const buffer = this.#keep({ size: Math.max(16, words.byteLength), usage: BUFFER_UNIFORM | BUFFER_COPY_DST });
    this.device.queue.writeBuffer(buffer, 0, words);
    return buffer;
  }

  pipeline(code: string): Promise<GPUComputePipeline> {
    const module = this.device.createShaderModule({ code });
    return this.device.createComputePipelineAsync({ layout: "auto", compute: { module } });
  }

  /** Bindings 0, 1, ... of group 0. */
  bind(pipeline: GPUComputePipeline, bindings: readonly (GPUBuffer | GPUBufferBinding)[]): GPUBindGroup {
    return this.device.createBindGroup({
      layout: pipeline.getBindGroupLayout(0),
      entries: bindings.map((given, binding) => ({
        binding,
        resource: "buffer" in given ? given : { buffer: given },
      })),
    });
  }

  /** One pass. More workgroups than a dimension has are folded into the second. */
  run(encoder: GPUCommandEncoder, pipeline: GPUComputePipeline, group: GPUBindGroup, workgroups: number): void {
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, group);
    const rows = Math.ceil(workgroups / MOST_WORKGROUPS);
    pass.dispatchWorkgroups(Math.ceil(workgroups / rows), rows);
    pass.end();
  }

  /** What a buffer holds; not timed. */
  async read(buffer: GPUBuffer, bytes = buffer.size): Promise<ArrayBuffer> {
    const copy = this.device.createBuffer({ size: bytes, usage: BUFFER_MAP_READ | BUFFER_COPY_DST });
    const encoder = this.device.createCommandEncoder();
    encoder.copyBufferToBuffer(buffer, 0, copy, 0, bytes);
    this.device.queue.submit([encoder.finish()]);
    await copy.mapAsync(MAP_READ);
    const found = copy.getMappedRange().slice(0);
    copy.destroy();
    return found;
  }

  destroy(): void {
    for (const buffer of this.#buffers) buffer.destroy();
    this.#buffers.length = 0;
  }

  #keep(descriptor: GPUBufferDescriptor): GPUBuffer {
    const buffer = this.device.createBuffer(descriptor);
    this.#buffers.push(buffer);
    return buffer;
  }
}
