/** Kernels in WGSL, as far as a memory checks them: their variables against arrays, footprints and uniforms. */

import type { DeviceKernelDescriptor, WgslKernel } from "../device/driver.js";
import { type ElementType, nameOf } from "../device/element.js";
import { compile, elementNameOf, isElementOf, type StorageUse, uniformBytes } from "../device/wgsl/index.js";
import { MemoryError } from "../mm/errors.js";
import type { Footprint } from "./footprint.js";
import type { KernelCode } from "./kernel.js";
import type { PagedArray } from "./paged-array.js";

/** Numbers of invocations and of elements are u32 in WGSL. */
const MOST = 2 ** 32 - 1;

export interface WgslRequest {
  readonly label: string;
  readonly text: string;
  readonly entryPoint: string | undefined;
  readonly constants: Readonly<Record<string, number>> | undefined;
  readonly footprint: Readonly<Record<string, Footprint>>;
}

/** Compiles the kernel here, to know what it uses; the device compiles it again, wherever it runs it. */
export function prepareWgsl({ label, text, entryPoint, constants = {}, footprint }: WgslRequest): KernelCode {
  const known = { ...constants };
  const { storage, uniforms, ...kernel } = compile({
    text,
    ...(entryPoint !== undefined && { entryPoint }),
    constants: known,
    footprint,
  });
  const arrays = new Map(storage.map((use) => [use.name, use]));
  for (const name of Object.keys(footprint)) {
    if (!arrays.has(name)) refuse(`kernel "${label}" has no storage "${name}" that ${kernel.entryPoint} uses`);
  }
  for (const name of arrays.keys()) {
    if (!Object.hasOwn(footprint, name)) refuse(`kernel "${label}" needs a footprint for array "${name}"`);
  }
  const wgsl: WgslKernel = { text, entryPoint: kernel.entryPoint, constants: known, footprint };
  return {
    device: { label, wgsl } satisfies DeviceKernelDescriptor,
    writes: storage.filter(({ written }) => written).map(({ name }) => name),
    checkArray: (name, array) => checkArray(label, arrays.get(name)!, array),
    takeUniforms: (given, invocations) => {
      if (invocations > MOST) refuse(`${invocations} invocations exceed the ${MOST} that WGSL can count`);
      for (const name of Object.keys(given)) {
        if (!uniforms.some((uniform) => uniform.name === name)) refuse(`kernel "${label}" has no uniform "${name}"`);
      }
      return Object.fromEntries(uniforms.map(({ name, type }) => [name, uniformBytes(label, name, type, given[name])]));
    },
  };
}

function checkArray(
  label: string,
  { name, element, length }: StorageUse,
  array: PagedArray<ElementType, ArrayBufferLike>,
): void {
  if (!isElementOf(element, array.type)) {
    refuse(
      `array "${array.label}" of ${nameOf(array.type)} is given as "${name}" to kernel "${label}", which has it of ${elementNameOf(element)}`,
    );
  }
  if (length !== null && array.length < length) {
    refuse(`array "${array.label}" has ${array.length} elements, "${name}" of kernel "${label}" at least ${length}`);
  }
  if (array.length > MOST)
    refuse(`array "${array.label}" has ${array.length} elements, more than the ${MOST} that WGSL can index`);
}

function refuse(why: string): never {
  throw new MemoryError("EINVAL", why);
}
