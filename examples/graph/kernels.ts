/**
 * The kernels, in WGSL alone. Both algorithms pull: a node looks along the edges that come in, and writes what is its own, so
 * that there are neither atomics nor races. What lies at the other end of an edge nobody knows beforehand: those arrays have
 * no footprint, and where they are larger than the device their pages come as the kernel asks for them. Sums are taken by
 * groups of nodes, one invocation a group; the host adds up the groups.
 */

import type { KernelDescriptor } from "../../src/index.js";

/** Nodes of a group. */
export const groupSize = 256;

/** The level of a node that the search has not come to. */
export const unreached = 0xffff_ffff;

const edges = `
@group(0) @binding(0) var<storage, read> offsets: array<u32>;
@group(0) @binding(1) var<storage, read> sources: array<u32>;
`;

/** A node's rank is what its sources share out. */
export const gatherKernel: KernelDescriptor = {
  label: "gather ranks",
  footprint: { offsets: { each: 1, after: 1 }, ranks: { each: 1 } },
  wgsl: `${edges}
@group(0) @binding(2) var<storage, read> shares: array<f32>;
@group(0) @binding(3) var<storage, read_write> ranks: array<f32>;
@group(0) @binding(4) var<uniform> base: f32;
@group(0) @binding(5) var<uniform> damping: f32;

@compute @workgroup_size(64)
fn gather(@builtin(global_invocation_id) id: vec3u) {
  let node = id.x;
  let end = offsets[node + 1u];
  var sum = 0.0;
  for (var e = offsets[node]; e < end; e++) {
    sum += shares[sources[e]];
  }
  ranks[node] = base + damping * sum;
}`,
};

/** What each node gives along each of its edges, how much the ranks have changed, and how much of them lies where no edge leaves. */
export const shareKernel: KernelDescriptor = {
  label: "share ranks",
  footprint: {
    ranks: { each: groupSize },
    previous: { each: groupSize },
    outDegrees: { each: groupSize },
    shares: { each: groupSize },
    changes: { each: 1 },
    stranded: { each: 1 },
  },
  wgsl: `
const groupSize = ${groupSize}u;

@group(0) @binding(0) var<storage, read> ranks: array<f32>;
@group(0) @binding(1) var<storage, read> outDegrees: array<u32>;
@group(0) @binding(2) var<storage, read_write> previous: array<f32>;
@group(0) @binding(3) var<storage, read_write> shares: array<f32>;
@group(0) @binding(4) var<storage, read_write> changes: array<f32>;
@group(0) @binding(5) var<storage, read_write> stranded: array<f32>;
@group(0) @binding(6) var<uniform> nodes: u32;

@compute @workgroup_size(64)
fn share(@builtin(global_invocation_id) id: vec3u) {
  let end = min((id.x + 1u) * groupSize, nodes);
  var change = 0.0;
  var lost = 0.0;
  for (var node = id.x * groupSize; node < end; node++) {
    let rank = ranks[node];
    let degree = outDegrees[node];
    change += abs(rank - previous[node]);
    previous[node] = rank;
    if (degree == 0u) {
      lost += rank;
      shares[node] = 0.0;
    } else {
      shares[node] = rank / f32(degree);
    }
  }
  changes[id.x] = change;
  stranded[id.x] = lost;
}`,
};

/** A node that has no level takes the next one if an edge comes from the current one. */
export const visitKernel: KernelDescriptor = {
  label: "visit",
  footprint: { offsets: { each: 1, after: 1 }, after: { each: 1 } },
  wgsl: `${edges}
const unreached = ${unreached}u;

@group(0) @binding(2) var<storage, read> before: array<u32>;
@group(0) @binding(3) var<storage, read_write> after: array<u32>;
@group(0) @binding(4) var<uniform> depth: u32;

@compute @workgroup_size(64)
fn visit(@builtin(global_invocation_id) id: vec3u) {
  let node = id.x;
  var level = before[node];
  if (level == unreached) {
    let end = offsets[node + 1u];
    for (var e = offsets[node]; e < end; e++) {
      if (before[sources[e]] == depth) {
        level = depth + 1u;
        break;
      }
    }
  }
  after[node] = level;
}`,
};

/** How many nodes of each group have a level. */
export const countKernel: KernelDescriptor = {
  label: "count level",
  footprint: { levels: { each: groupSize }, counts: { each: 1 } },
  wgsl: `
const groupSize = ${groupSize}u;

@group(0) @binding(0) var<storage, read> levels: array<u32>;
@group(0) @binding(1) var<storage, read_write> counts: array<u32>;
@group(0) @binding(2) var<uniform> nodes: u32;
@group(0) @binding(3) var<uniform> wanted: u32;

@compute @workgroup_size(64)
fn count(@builtin(global_invocation_id) id: vec3u) {
  let end = min((id.x + 1u) * groupSize, nodes);
  var count = 0u;
  for (var node = id.x * groupSize; node < end; node++) {
    if (levels[node] == wanted) {
      count++;
    }
  }
  counts[id.x] = count;
}`,
};
