/** What ONNX Runtime writes for the operators of a model, of which it makes a shader each when it first runs one. */

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { setFlagsFromString } from "node:v8";
import { capturedShaders } from "./captured.js";
import { type FoundShader, load, packages } from "./packages.js";

/** Of the format of models what is needed here: onnx.proto, version 3. */
const FORMAT = `
  syntax = "proto3";
  message Attribute { string name = 1; float f = 2; int64 i = 3; repeated int64 ints = 8; int32 type = 20; }
  message Node { repeated string input = 1; repeated string output = 2; string opType = 4; repeated Attribute attribute = 5; }
  message Dimension { int64 dimValue = 1; }
  message Shape { repeated Dimension dim = 1; }
  message Tensor { int32 elemType = 1; Shape shape = 2; }
  message Type { Tensor tensorType = 1; }
  message Value { string name = 1; Type type = 2; }
  message Graph { repeated Node node = 1; string name = 2; repeated Value input = 11; repeated Value output = 12; }
  message Opset { string domain = 1; int64 version = 2; }
  message Model { int64 irVersion = 1; Graph graph = 7; repeated Opset opsetImport = 8; }
`;
const FLOAT = 1;
const ATTRIBUTE_INT = 2;
const ATTRIBUTE_INTS = 7;

const INPUTS: Readonly<Record<string, readonly number[]>> = { x: [1, 4, 16, 16], w: [4, 4, 3, 3], m: [4, 8], b: [8] };

interface OperatorNode {
  readonly opType: string;
  readonly input: readonly string[];
  readonly output: readonly string[];
  readonly attributes?: Readonly<Record<string, number | readonly number[]>>;
}

/** Each takes what those before it made. */
const NODES: readonly OperatorNode[] = [
  { opType: "Relu", input: ["x"], output: ["positive"] },
  {
    opType: "Conv",
    input: ["positive", "w"],
    output: ["convolved"],
    attributes: { kernel_shape: [3, 3], pads: [1, 1, 1, 1] },
  },
  { opType: "Add", input: ["convolved", "x"], output: ["sum"] },
  { opType: "MaxPool", input: ["sum"], output: ["pooled"], attributes: { kernel_shape: [2, 2], strides: [2, 2] } },
  { opType: "Softmax", input: ["sum"], output: ["soft"], attributes: { axis: -1 } },
  { opType: "Transpose", input: ["soft"], output: ["turned"], attributes: { perm: [0, 2, 3, 1] } },
  { opType: "MatMul", input: ["turned", "m"], output: ["product"] },
  { opType: "LayerNormalization", input: ["product", "b"], output: ["normal"], attributes: { axis: -1 } },
  { opType: "ReduceMean", input: ["normal"], output: ["mean"], attributes: { axes: [1], keepdims: 1 } },
  { opType: "Concat", input: ["mean", "mean"], output: ["both"], attributes: { axis: 1 } },
  { opType: "Sigmoid", input: ["both"], output: ["end"] },
];
const OUTPUTS: Readonly<Record<string, readonly number[]>> = { end: [1, 2, 16, 8], pooled: [1, 4, 8, 8] };

export async function onnxruntimeShaders(): Promise<FoundShader[]> {
  const texts = await capturedShaders(async () => {
    const { default: runtime } = await load("onnxruntime-web/webgpu");
    // It is run once: the compiler that begins at once is done when the one for long runs has hardly begun.
    setFlagsFromString("--liftoff-only");
    // Several threads would need memory that is shared, and workers of a page.
    Object.assign(runtime.env.wasm, { numThreads: 1 });
    const restore = copySharedMemory();
    try {
      const session = await runtime.InferenceSession.create(model(), { executionProviders: ["webgpu"] });
      const feeds = Object.entries(INPUTS).map(([name, shape]) => {
        const values = Float32Array.from({ length: shape.reduce((a, b) => a * b) }, (_, i) => (i % 7) / 7);
        return [name, new runtime.Tensor("float32", values, shape)] as const;
      });
      await session.run(Object.fromEntries(feeds));
      await session.release();
    } finally {
      restore();
    }
  });
  return texts.map((text, i) => ({ from: `onnxruntime-web, shader ${i}`, text }));
}

function model(): Uint8Array {
  const { parse } = createRequire(packages.resolve("onnxruntime-web/webgpu"))("protobufjs");
  const Model = parse(FORMAT, { keepCase: true }).root.lookupType("Model");
  const values = (shapes: typeof INPUTS): object[] =>
    Object.entries(shapes).map(([name, shape]) => ({
      name,
      type: { tensorType: { elemType: FLOAT, shape: { dim: shape.map((dimValue) => ({ dimValue })) } } },
    }));
  const node = NODES.map(({ attributes = {}, ...rest }) => ({
    ...rest,
    attribute: Object.entries(attributes).map(([name, value]) =>
      typeof value === "number" ? { name, i: value, type: ATTRIBUTE_INT } : { name, ints: value, type: ATTRIBUTE_INTS },
    ),
  }));
  const graph = { name: "operators", node, input: values(INPUTS), output: values(OUTPUTS) };
  return Model.encode(
    Model.fromObject({ irVersion: 8, opsetImport: [{ domain: "", version: 17 }], graph }),
  ).finish() as Uint8Array;
}

type WriteBuffer = (this: GPUQueue, ...given: Parameters<GPUQueue["writeBuffer"]>) => undefined;

/** The runtime's memory is shared, which Dawn does not take in Node: it is given copies. Returns what puts an end to it. */
function copySharedMemory(): () => void {
  const { prototype } = globalThis.GPUQueue;
  const write: WriteBuffer = Reflect.get(prototype, "writeBuffer");
  prototype.writeBuffer = function writeCopy(buffer, offset, data, from = 0, size?: number): undefined {
    assert.ok(data instanceof Uint8Array, "the runtime writes bytes");
    const end = size === undefined ? undefined : from + size;
    write.call(this, buffer, offset, new Uint8Array(data.subarray(from, end)));
  };
  return () => {
    prototype.writeBuffer = write;
  };
}
