/** Compiled kernels as functions that run: the JavaScript made into one, and views of the arrays for each range. */

import { MemoryError } from "../../../mm/errors.js";
import type { DispatchShape } from "../../driver.js";
import { errorAt } from "../error-at.js";
import type { StepKernel, StepRange } from "../../step-kernel.js";
import { uniformBytes } from "../bindings.js";
import type { CompiledKernel } from "./compiled-kernel.js";
import { NUMBERS } from "../numbers.js";
import type { FindOutside } from "./unit-pages.js";
import type { StorageUse } from "../value.js";

/** An array as the generated code has it: views of the same words. */
interface Words {
  readonly f: Float32Array;
  readonly i: Int32Array;
  readonly u: Uint32Array;
  /** Element at the start of the views. */
  readonly base: number;
  /** Elements of the whole array, as far as the kernel may know. */
  readonly length: number;
}

type Run = (first: number, count: number, shape: DispatchShape, arrays: readonly Words[]) => void;
type MakeRun = (
  numbers: typeof NUMBERS,
  outside: FindOutside,
  memory: ArrayBuffer,
  uniforms: ArrayBuffer,
) => (...given: never[]) => unknown;

/** A kernel that was compiled for steps. ENOTSUP where the page's policy lets no code be made. */
export function createStepKernel(compiled: CompiledKernel): StepKernel {
  const outside = outsideOf(compiled);
  const { run, setUniforms } = instantiate<Run>(compiled, outside);
  return {
    run: (range) => {
      setUniforms(range.uniforms);
      const arrays = compiled.storage.map((storage) => wordsOf(storage, range));
      run(range.first, range.count, range.shape, arrays);
    },
  };
}

/** A compiled kernel that can be run. */
export interface Instance<Run> {
  readonly run: Run;
  readonly setUniforms: (uniforms: Readonly<Record<string, unknown>>) => void;
}

export function instantiate<Run>(compiled: CompiledKernel, outside: FindOutside): Instance<Run> {
  const uniforms = new ArrayBuffer(compiled.uniformBytes);
  const bytes = new Uint8Array(uniforms);
  const make = makeFunction(compiled);
  return {
    run: make(NUMBERS, outside, new ArrayBuffer(compiled.memoryBytes), uniforms) as Run,
    setUniforms: (given) => {
      for (const { name, type, word } of compiled.uniforms)
        bytes.set(uniformBytes(compiled.entryPoint, name, type, given[name]), word * 4);
    },
  };
}

export function outsideOf(compiled: CompiledKernel): FindOutside {
  return (array, index, low, count, length, at) => findOutside(compiled, array, index, low, count, length, at);
}

function makeFunction({ code }: CompiledKernel): MakeRun {
  try {
    // The code is made of names and numbers that the compiler wrote, and has no text of the kernel.
    // oxlint-disable-next-line typescript/no-implied-eval, no-new-func
    return new Function("numbers", "outside", "memory", "uniforms", code) as MakeRun;
  } catch (cause) {
    if (cause instanceof SyntaxError) throw cause;
    throw new MemoryError(
      "ENOTSUP",
      "the Content-Security-Policy of this page lets no JavaScript be made from WGSL: it needs script-src 'unsafe-eval', or the kernel as host",
      { cause },
    );
  }
}

function wordsOf({ name, length }: StorageUse, range: StepRange): Words {
  const { buffer, byteOffset, byteLength } = range.arrays[name] as Uint8Array;
  const words = byteLength / 4;
  const whole = range.lengths[name];
  return {
    f: new Float32Array(buffer, byteOffset, words),
    i: new Int32Array(buffer, byteOffset, words),
    u: new Uint32Array(buffer, byteOffset, words),
    base: range.base[name],
    length: length === null ? whole : Math.min(length, whole),
  };
}

/**
 * For an index that is not among the elements from `low` on: past the end of the array it is the last one, counted from
 * `low`, if the invocation may use that one.
 */
function findOutside(
  { storage, text }: CompiledKernel,
  array: number,
  index: number,
  low: number,
  count: number,
  length: number,
  at: number,
): number {
  const found = Math.min(index, length - 1) - low;
  if (found >= 0 && found < count) return found;
  const declared = count > 0 ? `elements ${low} to ${low + count}` : "no element";
  throw errorAt(
    text,
    at,
    `element ${index} of array "${storage[array].name}" is used, whose footprint declares ${declared} for this invocation`,
    "EFAULT",
  );
}
