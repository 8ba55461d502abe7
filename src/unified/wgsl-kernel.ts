/** Kernels in WGSL, as far as a memory checks them: their variables against arrays, footprints and uniforms. */

import type { DeviceKernelDescriptor, WgslKernel } from "../device/driver.js";
import { type ElementType, nameOf } from "../device/element.js";
import { type ArrayUse, describe, elementNameOf, isElementOf, uniformBytes } from "../device/wgsl/index.js";
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
  readonly bindings: readonly string[] | undefined;
}

/** Reads here what the kernel uses; the device compiles it, wherever it runs it. */
export function prepareWgsl({ label, text, entryPoint, constants, footprint, bindings = [] }: WgslRequest): KernelCode {
  if (!Array.isArray(bindings) || bindings.some((name) => typeof name !== "string"))
    refuse(`bindings of kernel "${label}" are the names of variables, in an array`);
  const known = { ...constants };
  const own = [...bindings];
  const { uniforms, workgroups, ...kernel } = describe({
    text,
    ...(entryPoint !== undefined && { entryPoint }),
    constants: known,
    bindings: own,
  });
  const arrays = new Map(kernel.arrays.map((use) => [use.name, use]));
  for (const name of Object.keys(footprint)) {
    if (!arrays.has(name)) refuse(`kernel "${label}" has no storage "${name}" that ${kernel.entryPoint} uses`);
  }
  for (const { name, length } of kernel.arrays) {
    if (length !== null && (footprint[name] ?? "whole") !== "whole")
      refuse(`array "${name}" of kernel "${label}" has a fixed length: its footprint is "whole"`);
  }
  const wgsl: WgslKernel = { text, entryPoint: kernel.entryPoint, constants: known, footprint, bindings: own };
  return {
    device: { label, wgsl } satisfies DeviceKernelDescriptor,
    arrays: [...arrays.keys()],
    writes: kernel.arrays.filter(({ written }) => written).map(({ name }) => name),
    workgroups,
    bindings: kernel.bindings.map(({ name }) => name),
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

/** A kernel that is there as a function as well. EINVAL where that does not write the same arrays. */
export function alsoHost(label: string, code: KernelCode, host: KernelCode): KernelCode {
  const { writes } = host;
  const differing = [...code.writes, ...writes].find((name) => !code.writes.includes(name) || !writes.includes(name));
  if (differing !== undefined) {
    const [who, other] = writes.includes(differing) ? ["host", "wgsl"] : ["wgsl", "host"];
    refuse(`kernel "${label}" writes "${differing}" in ${who}, not in ${other}`);
  }
  return {
    ...code,
    device: { ...host.device, ...code.device },
    takeUniforms: (given, invocations) => {
      code.takeUniforms(given, invocations);
      return host.takeUniforms(copies(given), invocations);
    },
  };
}

/** Uniforms as the caller gave them, which it may change meanwhile. */
function copies(given: Record<string, unknown>): Record<string, unknown> {
  const copy = (value: unknown): unknown => (typeof value === "object" ? structuredClone(value) : value);
  return Object.fromEntries(Object.entries(given).map(([name, value]) => [name, copy(value)]));
}

function checkArray(
  label: string,
  { name, element, length }: ArrayUse,
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
