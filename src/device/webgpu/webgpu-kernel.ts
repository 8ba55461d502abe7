/**
 * A kernel in WGSL on a GPU, step by step: plain WGSL over the parts of the arrays that a step has. A step is one submission:
 * what lies apart is gathered, the workgroups run, what they wrote is scattered back.
 */

import { MemoryError } from "../../mm/errors.js";
import { strideOf } from "../element.js";
import type { DeviceKernel, KernelStep, PagedDispatch, PagedRun, WorkgroupShape } from "../driver.js";
import type { KernelDescription } from "../wgsl/describe.js";
import type { StepModule, StepVariant } from "../wgsl/rewrite/step.js";
import { writeStepWords } from "../wgsl/rewrite/step-words.js";
import { resourceOf } from "./binding-resource.js";
import type { DeviceGone } from "./device-gone.js";
import type { EarlyBatch, EarlyDownloads } from "./early-downloads.js";
import type { GpuBuffers } from "./gpu-buffers.js";
import { gpuMessage } from "./gpu-message.js";
import type { PagedDispatches } from "./paged/paged-dispatches.js";
import type { Pools } from "./pools.js";
import type { Scratch } from "./scratch.js";
import { type ArrayVariable, gather, placeSlices, scatter, scratchBytesOf, type SlicePlace } from "./slice-places.js";
import type { StepPipeline, StepPipelines } from "./step-pipelines.js";
import { alignedUniform, UniformLayout } from "./uniform-layout.js";
import { BUFFER_COPY_DST, BUFFER_UNIFORM } from "./usage.js";
import { isWhole, rowsOf, workgroupRange, workgroupsOf, type WorkgroupRows } from "./workgroups.js";

/** What the kernels of a device share. */
export interface KernelContext {
  readonly device: GPUDevice;
  readonly gone: DeviceGone;
  readonly buffers: GpuBuffers;
  readonly pools: Pools;
  readonly early: EarlyDownloads;
  readonly scratch: Scratch;
  /** Workgroups that one dispatch of WebGPU has at most in each dimension. */
  readonly mostWorkgroups: number;
}

export class WebgpuKernel implements DeviceKernel {
  readonly runsBeside = true;
  readonly workgroups: WorkgroupShape;
  readonly beginPaged?: (dispatch: PagedDispatch) => Promise<PagedRun>;
  readonly #paged: PagedDispatches | null;
  #scratchBytes = 0;
  /** Settles when the step that is made ready is in the queue; null while none is. */
  #submitting: Promise<void> | null = null;
  readonly #context: KernelContext;
  readonly #label: string;
  readonly #pipelines: StepPipelines;
  readonly #arrays: readonly ArrayVariable[];
  /** The kernel's uniforms, and behind them the parameters of each call of a step. */
  #uniforms: GPUBuffer | null = null;
  readonly #uniformLayout: UniformLayout;

  constructor(
    context: KernelContext,
    label: string,
    description: KernelDescription,
    pipelines: StepPipelines,
    arrays: readonly ArrayVariable[],
    paged: PagedDispatches | null,
  ) {
    this.#context = context;
    this.#paged = paged;
    if (paged !== null) this.beginPaged = (dispatch) => paged.begin(dispatch);
    this.#label = label;
    this.#pipelines = pipelines;
    this.#arrays = arrays;
    this.workgroups = description.workgroups;
    this.#uniformLayout = new UniformLayout(label, description);
  }

  get scratchBytes(): number {
    return Math.max(this.#scratchBytes, this.#paged?.bytes ?? 0);
  }

  async execute(step: KernelStep): Promise<void> {
    // Steps are in the queue in the order of calls, also where one has to wait for its pipeline.
    while (this.#submitting !== null) await this.#submitting;
    let submitted = (): void => {};
    this.#submitting = new Promise((resolve) => (submitted = resolve));
    let done: Promise<void> | null = null;
    try {
      const { gone, pools, early, scratch, mostWorkgroups, buffers } = this.#context;
      gone.assertUsable();
      const calls = rowsOf(workgroupRange(step, step.shape, this.workgroups), mostWorkgroups);
      if (calls.length === 0) return;
      const places = placeSlices(this.#arrays, step.slices, pools);
      const variant = variantOf(this.#arrays, places, step, this.workgroups, calls.length === 1);
      const copied = places.filter(({ pool }) => pool === null);
      const sizes = copied.map((place) => scratchBytesOf(place, pools.pageSize));
      this.#scratchBytes = Math.max(this.#scratchBytes, sum(sizes));
      // What is there already is not awaited: then the step is in the queue when this returns, in front of the next one's copies.
      const pipeline = this.#pipelines.peek(variant) ?? (await this.#pipelines.take(variant));
      for (const [n, bytes] of sizes.entries()) if (scratch.peek(n, bytes) === null) await scratch.take(n, bytes);
      if (early.lacksRoom(step.slices)) await early.makeRoom(step.slices);
      const uniforms = this.#uniformBytes(step, pipeline.module, places, calls);
      if (this.#uniforms === null || this.#uniforms.size < uniforms.byteLength) {
        if (this.#uniforms !== null) buffers.destroy(this.#uniforms);
        this.#uniforms = null;
        this.#uniforms = await buffers.create("uniforms", uniforms.byteLength, BUFFER_UNIFORM | BUFFER_COPY_DST);
      }
      gone.assertUsable();
      const copies = copied.map((place, n) => [place, scratch.peek(n, sizes[n])!] as const);
      done = this.#submit(step, pipeline, places, new Map(copies), calls, uniforms, this.#uniforms);
    } finally {
      this.#submitting = null;
      submitted();
    }
    await done;
  }

  /** The step is in the queue when this returns, and done when what it returns settles. */
  #submit(
    step: KernelStep,
    { module, pipeline, layout }: StepPipeline,
    places: readonly SlicePlace[],
    scratch: ReadonlyMap<SlicePlace, GPUBuffer>,
    calls: readonly WorkgroupRows[],
    uniformBytes: Uint8Array<ArrayBuffer>,
    uniforms: GPUBuffer,
  ): Promise<void> {
    const { device, gone, pools, early } = this.#context;
    let copies: EarlyBatch | null = null;
    device.pushErrorScope("validation");
    device.pushErrorScope("out-of-memory");
    let thrown: unknown = null;
    try {
      device.queue.writeBuffer(uniforms, 0, uniformBytes);
      const encoder = device.createCommandEncoder();
      for (const [place, buffer] of scratch) gather(encoder, place, buffer, pools);
      const pass = encoder.beginComputePass();
      pass.setPipeline(pipeline);
      const entries = this.#entriesOf(step, module, places, scratch, uniforms);
      for (const [n, { x, y }] of calls.entries()) {
        const { bytes: size } = module.parameters;
        const resource = { buffer: uniforms, offset: this.#uniformLayout.end + n * alignedUniform(size), size };
        const parameters = { binding: module.parameters.binding, resource };
        pass.setBindGroup(0, device.createBindGroup({ layout, entries: [...entries, parameters] }));
        pass.dispatchWorkgroups(x, y);
      }
      pass.end();
      for (const [place, buffer] of scratch) if (place.slice.written) scatter(encoder, place, buffer, pools);
      copies = early.copy(encoder, step.slices);
      const commands = encoder.finish();
      for (const { pool, writable } of places) if (pool !== null && writable) pool.written = true;
      for (const { written, frames } of step.slices)
        if (written) for (const frame of frames) pools.willChange(frame, 1, true);
      device.queue.submit([commands]);
      copies.submitted();
    } catch (error) {
      thrown = error;
      copies?.dropped();
    }
    const done = Promise.all([device.popErrorScope(), device.popErrorScope(), device.queue.onSubmittedWorkDone()]);
    return gone.until(
      done.then(([outOfMemory, invalid]) => {
        const cause = outOfMemory ?? invalid ?? thrown;
        if (cause !== null) throw this.#failed(cause, outOfMemory !== null);
      }),
    );
  }

  #entriesOf(
    { bindings }: KernelStep,
    module: StepModule,
    places: readonly SlicePlace[],
    scratch: ReadonlyMap<SlicePlace, GPUBuffer>,
    uniforms: GPUBuffer,
  ): GPUBindGroupEntry[] {
    let uniform = 0;
    return module.bindings.map(({ name, binding, kind }, n): GPUBindGroupEntry => {
      if (kind === "bound") return { binding, resource: resourceOf(bindings[name]) };
      if (kind === "uniform") return { binding, resource: this.#uniformLayout.resource(uniform++, uniforms) };
      const place = places[n];
      const { pool, offset, size } = place;
      const resource = pool === null ? { buffer: scratch.get(place)!, size } : { buffer: pool.buffer, offset, size };
      return { binding, resource };
    });
  }

  #uniformBytes(
    step: KernelStep,
    { parameters }: StepModule,
    places: readonly SlicePlace[],
    calls: readonly WorkgroupRows[],
  ): Uint8Array<ArrayBuffer> {
    const stride = alignedUniform(parameters.bytes);
    const { end: uniformEnd } = this.#uniformLayout;
    const bytes = new Uint8Array(uniformEnd + calls.length * stride);
    this.#uniformLayout.write(bytes, step.uniforms);
    const parts = places.map(({ slice: { name, type, total: length }, base, size }) => {
      return [name, { base, part: size / strideOf(type), length }] as const;
    });
    const values = {
      invocations: step.shape,
      workgroups: workgroupsOf(step.shape, this.workgroups),
      parts: Object.fromEntries(parts),
    };
    for (const [n, { first }] of calls.entries()) {
      const words = new Uint32Array(bytes.buffer, uniformEnd + n * stride, parameters.bytes / 4);
      writeStepWords(words, parameters.words, { ...values, first });
    }
    return bytes;
  }

  #failed(cause: unknown, isOutOfMemory: boolean): MemoryError {
    const code = isOutOfMemory ? "ENOMEM" : "EINVAL";
    return new MemoryError(code, `the GPU does not run kernel "${this.#label}": ${gpuMessage(cause)}`, { cause });
  }
}

function variantOf(
  arrays: readonly ArrayVariable[],
  places: readonly SlicePlace[],
  { shape, count }: KernelStep,
  workgroups: WorkgroupShape,
  isOneCall: boolean,
): StepVariant {
  return {
    based: places.filter(({ isPart }) => isPart).map(({ slice }) => slice.name),
    writable: places.filter(({ writable }, n) => writable && !arrays[n].writable).map(({ slice }) => slice.name),
    dimensions: shape[1] === 1 && shape[2] === 1 ? 1 : 3,
    isWhole: isWhole(shape, workgroups),
    isOnly: isOneCall && count === shape[0] * shape[1] * shape[2],
  };
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0);
}
