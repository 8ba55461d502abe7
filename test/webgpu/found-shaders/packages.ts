/** Shaders that were not written for this project: taken out of npm packages when the tests run, never kept. */

import { readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { repository } from "../../packaging/sample-project.js";
import { gpu } from "../gpu.js";

/** Where the text comes from, and the text. */
export interface FoundShader {
  readonly from: string;
  readonly text: string;
}

const packages = createRequire(join(repository, "test/webgpu/package.json"));

// The packages are installed apart from the project, so their types are not known here.
// oxlint-disable-next-line no-explicit-any
type Package = any;

async function load(name: string): Promise<Package> {
  return import(pathToFileURL(packages.resolve(name)).href);
}

/** Lines that begin with # are Babylon.js's own: what is included, and what is there if something is defined. Nothing is. */
function preprocess(text: string, includes: Readonly<Record<string, string>>): string {
  const isKept: boolean[] = [];
  const defined = new Map<string, string>();
  const lines = text.split("\n").flatMap((line) => {
    const [directive = "", name = ""] = line.trim().split(/[\s<>]+/);
    if (directive === "#ifdef" || directive === "#if") isKept.push(defined.has(name));
    else if (directive === "#ifndef") isKept.push(!defined.has(name));
    else if (directive === "#else") isKept.push(isKept.pop() === false);
    else if (directive === "#endif") isKept.pop();
    else if (isKept.includes(false)) return [];
    else if (directive === "#define") defined.set(name, line.trim().split(/\s+/).slice(2).join(" "));
    else if (directive === "#include") return [preprocess(includes[name] ?? "", includes)];
    else return [line];
    return [];
  });
  let result = lines.join("\n");
  for (const [name, value] of defined) result = result.replaceAll(new RegExp(`\\b${name}\\b`, "g"), value);
  return result;
}

/** The compute shaders that Babylon.js brings as text. */
export async function babylonShaders(): Promise<FoundShader[]> {
  const folder = join(dirname(packages.resolve("@babylonjs/core/package.json")), "ShadersWGSL");
  const files = readdirSync(folder).filter((file) => file.endsWith(".compute.js"));
  const { ShaderStore } = await load("@babylonjs/core/Engines/shaderStore.js");
  return Promise.all(
    files.map(async (file) => {
      const shaders = Object.values(
        (await import(pathToFileURL(join(folder, file)).href)) as Record<string, { shader: string }>,
      );
      return {
        from: `Babylon.js ${file}`,
        text: preprocess(shaders[0]?.shader ?? "", ShaderStore.IncludesShadersStoreWGSL),
      };
    }),
  );
}

/** What TypeGPU writes for functions and layouts of its own. */
export async function typegpuShaders(): Promise<FoundShader[]> {
  const { default: tgpu } = await load("typegpu");
  const d = await load("typegpu/data");
  const particle = d.struct({ place: d.vec3f, mass: d.f32, speed: d.vec3f, age: d.u32 });
  const storage = (type: unknown, access: string): object => ({ storage: type, access });
  const layout = tgpu.bindGroupLayout({
    x: storage(d.arrayOf(d.f32), "readonly"),
    y: storage(d.arrayOf(d.vec4f), "mutable"),
    particles: storage(d.arrayOf(particle), "mutable"),
    bins: storage(d.arrayOf(d.atomic(d.u32)), "mutable"),
    turn: { uniform: d.struct({ by: d.mat4x4f, count: d.u32 }) },
  });
  const input = { in: { id: d.builtin.globalInvocationId, local: d.builtin.localInvocationIndex } };
  const shared = tgpu.workgroupVar(d.arrayOf(d.f32, 64));
  const half = tgpu.fn([d.f32], d.f32)`(v) { return v * 0.5; }`;
  const bodies: Readonly<Record<string, string>> = {
    "a map": "{ layout.$.y[in.id.x] = vec4f(half(layout.$.x[in.id.x])); }",
    "a matrix from a uniform":
      "{ if (in.id.x < layout.$.turn.count) { layout.$.y[in.id.x] = layout.$.turn.by * layout.$.y[in.id.x]; } }",
    structures:
      "{ layout.$.particles[in.id.x].place += layout.$.particles[in.id.x].speed * half(layout.$.particles[in.id.x].mass); layout.$.particles[in.id.x].age++; }",
    "a histogram": "{ atomicAdd(&layout.$.bins[u32(layout.$.x[in.id.x]) % 64], 1u); }",
    "a workgroup":
      "{ shared[in.local] = layout.$.x[in.id.x]; workgroupBarrier(); layout.$.y[in.id.x] = vec4f(shared[63 - in.local]); }",
  };
  return Object.entries(bodies).map(([what, body]) => {
    const entry = tgpu
      .computeFn({ ...input, workgroupSize: [64] })(body)
      .$uses({ layout, half, shared });
    return { from: `TypeGPU, ${what}`, text: tgpu.resolve([entry]) as string };
  });
}

/** What three.js writes for compute nodes, as it gives it to the GPUDevice. */
export async function threeShaders(device: GPUDevice): Promise<FoundShader[]> {
  const texts: string[] = [];
  const create = device.createShaderModule.bind(device);
  // A property of this object alone, in front of the one of its class.
  device.createShaderModule = (descriptor) => {
    texts.push(descriptor.code);
    return create(descriptor);
  };
  const scope = globalThis as Record<string, unknown>;
  const before = { self: scope["self"], navigator: Object.getOwnPropertyDescriptor(globalThis, "navigator") };
  // It asks for a page with WebGPU's constants. Of the rest of a page computing needs nothing.
  Object.assign(scope, (packages("webgpu") as { globals: object }).globals);
  const nothing = (): number => 0;
  scope["self"] = Object.assign(Object.create(globalThis) as object, {
    requestAnimationFrame: nothing,
    cancelAnimationFrame: nothing,
  });
  Object.defineProperty(globalThis, "navigator", { value: { gpu, userAgent: "" }, configurable: true });
  try {
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
  } finally {
    Reflect.deleteProperty(device, "createShaderModule");
    scope["self"] = before.self;
    if (before.navigator === undefined) Reflect.deleteProperty(globalThis, "navigator");
    else Object.defineProperty(globalThis, "navigator", before.navigator);
  }
  return texts.filter((text) => text.includes("@compute")).map((text, i) => ({ from: `three.js, node ${i}`, text }));
}
