import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { cluster, type Clustering } from "../../../examples/k-means/cluster.js";
import { assignKernel } from "../../../examples/k-means/assign.js";
import { normaliseKernel } from "../../../examples/word-vectors/normalise.js";
import { relativeTolerance, verify } from "../../../examples/k-means/reference.js";
import { mulberry32, seedRows } from "../../../examples/k-means/seeds.js";
import { openVectorFile, type VectorFile } from "../../../examples/word-vectors/vector-file.js";
import { createUnifiedMemory, type KernelDescriptor, mirrorDevice } from "../../../src/index.js";
import { temporaryFolder } from "../../temporary-folder.js";

const never = new AbortController().signal;
const silent = { loading: () => {}, loaded: () => {}, assigning: () => {}, iterated: () => {} };
const dimensions = 7;

/** Rows around `centres` directions, in turn. */
async function blobs(t: TestContext, rows: number, centres: number, seed: number): Promise<VectorFile> {
  const next = mulberry32(seed);
  const normal = (): number => next() + next() + next() - 1.5;
  const middle = Array.from({ length: centres }, () => Array.from({ length: dimensions }, () => 4 * normal()));
  const numbers = Float32Array.from({ length: rows * dimensions }, (_, i) => {
    const row = Math.floor(i / dimensions);
    return middle[row % centres][i % dimensions] + 0.4 * normal();
  });
  const file = join(await temporaryFolder(t), "blobs.f32");
  await writeFile(file, new Uint8Array(numbers.buffer));
  return openVectorFile(file, dimensions);
}

async function clustered(
  file: VectorFile,
  seeds: readonly number[],
  most: number,
  memoryOf: { budget: number; pageSize: number },
): Promise<Clustering> {
  const { budget, pageSize } = memoryOf;
  const memory = await createUnifiedMemory({ device: mirrorDevice({ budget }), pageSize });
  try {
    return await cluster(memory, file, seeds, most, silent, never);
  } finally {
    await memory.destroy();
  }
}

test("the rows that clusters begin with are different ones, the same for the same seed", () => {
  assert.deepEqual(seedRows(1000, 50, 7), seedRows(1000, 50, 7));
  assert.notDeepEqual(seedRows(1000, 50, 7), seedRows(1000, 50, 8));
  assert.deepEqual(
    seedRows(20, 20, 3).toSorted((a, b) => a - b),
    Array.from({ length: 20 }, (_, i) => i),
  );
});

test("what lies together is found together, whatever the budget and the page size, and the reference agrees", async (t) => {
  const rows = 5000;
  const centres = 5;
  const file = await blobs(t, rows, centres, 11);
  const seeds = [0, 1, 2, 3, 4];
  const quarter = await clustered(file, seeds, 20, { budget: 9 * 4096, pageSize: 4096 });
  assert.equal(quarter.report.mode, "streamed");
  assert.ok(quarter.iterations.length < 20);
  assert.equal(quarter.iterations.at(-1)!.moved, 0);
  assert.ok(quarter.labels.every((label, row) => label === row % centres));

  const whole = await clustered(file, seeds, 20, { budget: 2 ** 20, pageSize: 65_536 });
  assert.equal(whole.report.mode, "resident");
  assert.deepEqual(whole.labels, quarter.labels);
  assert.deepEqual(whole.iterations, quarter.iterations);

  const claim = { seeds, labels: quarter.labels, inertia: quarter.iterations.map(({ inertia }) => inertia) };
  const verdict = await verify(file, claim);
  assert.deepEqual([verdict.verified, verdict.equal, verdict.faults], [true, rows, []]);
});

test("a cluster that nobody is nearest to keeps its centroid, and a row of zeros is in one, too", async (t) => {
  const file = join(await temporaryFolder(t), "v.f32");
  const cases = [
    // Rows 0 and 1 have the same direction, and the first of two equal centroids is taken.
    { rows: [1, 0, 2, 0, 0, 1, 3, 0], seeds: [0, 1, 2], expected: [0, 0, 2, 0] },
    { rows: [1, 0, 0, 0, 0, 1], seeds: [2, 0], expected: [1, 0, 0] },
  ];
  for (const { rows, seeds, expected } of cases) {
    await writeFile(file, new Uint8Array(Float32Array.from(rows).buffer));
    const vectors = await openVectorFile(file, 2);
    const { labels, iterations } = await clustered(vectors, seeds, 5, { budget: 2 ** 16, pageSize: 4096 });
    assert.deepEqual([...labels], expected);
    const inertia = iterations.map((iteration) => iteration.inertia);
    assert.deepEqual((await verify(vectors, { seeds, labels, inertia })).faults, []);
  }
});

test("the WGSL and the functions of the kernels give the same, on random rows", async (t) => {
  const seed = 23;
  t.diagnostic(`seed ${seed}`);
  const next = mulberry32(seed);
  const rows = 700;
  const clusters = 9;
  const data = Float32Array.from({ length: rows * dimensions }, () => next() - 0.5);
  const means = Float32Array.from({ length: clusters * dimensions }, () => next() - 0.5);
  const runWith = async (left: readonly (keyof KernelDescriptor)[]) => {
    const only = (kernel: KernelDescriptor): KernelDescriptor => {
      for (const part of left) delete kernel[part];
      return kernel;
    };
    const memory = await createUnifiedMemory({ device: mirrorDevice({ budget: 8 * 4096 }), pageSize: 4096 });
    const vectors = memory.createArray("f32", data.length);
    const centroids = memory.createArray("f32", means.length);
    const labels = memory.createArray("u32", rows);
    const distances = memory.createArray("f32", rows);
    await vectors.write(data);
    await centroids.write(means);
    const normalise = await memory.createKernel(only(normaliseKernel(dimensions)));
    const assign = await memory.createKernel(only(assignKernel(dimensions, clusters)));
    await normalise.dispatch({ invocations: rows, arrays: { vectors } });
    await assign.dispatch({ invocations: rows, arrays: { vectors, centroids, labels, distances } });
    const result = { unit: await vectors.read(), labels: await labels.read(), distances: await distances.read() };
    await memory.destroy();
    return result;
  };
  const wgsl = await runWith(["host"]);
  const host = await runWith(["wgsl", "constants"]);
  assert.deepEqual(wgsl.labels, host.labels);
  for (const name of ["unit", "distances"] as const) {
    assert.ok(wgsl[name].every((value, i) => Math.abs(value - host[name][i]) <= 1e-6));
  }
});

test("the reference refuses a wrong label, a cluster that does not exist, a missing row and a wrong inertia", async (t) => {
  const file = await blobs(t, 300, 3, 5);
  const seeds = [0, 1, 2];
  const { labels, iterations } = await clustered(file, seeds, 4, { budget: 2 ** 18, pageSize: 4096 });
  const inertia = iterations.map((iteration) => iteration.inertia);
  const faultsOf = async (claim: { labels?: ArrayLike<number>; inertia?: number[] }): Promise<readonly string[]> =>
    (await verify(file, { seeds, labels, inertia, ...claim })).faults;
  assert.deepEqual(await faultsOf({}), []);
  assert.match((await faultsOf({ labels: labels.with(7, 2) }))[0], /^row 7: centroid 2 at .+ is not nearest, 1 is at /);
  assert.match((await faultsOf({ labels: labels.with(7, 3) }))[0], /^row 7: cluster 3 is not one of 3$/);
  assert.match((await faultsOf({ labels: labels.subarray(1) }))[0], /^299 labels for 300 rows$/);
  const off = inertia.with(1, inertia[1] * (1 + 3 * relativeTolerance));
  assert.match((await faultsOf({ inertia: off }))[0], /^iteration 2: inertia .+, not /);
  assert.match((await faultsOf({ inertia: inertia.with(0, Number.NaN) }))[0], /^iteration 1: inertia .+, not NaN$/);
});
