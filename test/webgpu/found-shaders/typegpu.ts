/** What TypeGPU writes for functions and layouts of its own. */

import { type FoundShader, load } from "./packages.js";

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
