/**
 * The search: the vectors and one score for each are arrays of unified memory, the kernel is plain WGSL that runs on the GPU or,
 * compiled to JavaScript, on the software device, and the page picks the best from a pin of the scores.
 */

import type { DispatchReport, Kernel, PagedArray, UnifiedMemory } from "pageferry";
import { nearest, type Neighbour } from "../../nearest-words/nearest.js";

const wgsl = (dimensions: number): string => `
  const dimensions = ${dimensions}u;
  @group(0) @binding(0) var<storage, read> vectors: array<f32>;
  @group(0) @binding(1) var<storage, read_write> scores: array<f32>;
  @group(0) @binding(2) var<uniform> direction: array<vec4f, ${Math.ceil(dimensions / 4)}>;

  @compute @workgroup_size(64)
  fn main(@builtin(global_invocation_id) id: vec3u) {
    let row = id.x;
    if (row >= arrayLength(&scores)) { return; }
    var product = 0.0;
    var squares = 0.0;
    for (var i = 0u; i < dimensions; i++) {
      let number = vectors[row * dimensions + i];
      product += number * direction[i / 4][i % 4];
      squares += number * number;
    }
    // A vector of zeros is similar to nothing.
    scores[row] = select(product / sqrt(squares), 0.0, squares == 0.0);
  }`;

export interface Answer {
  readonly neighbours: readonly Neighbour[];
  readonly report: DispatchReport;
}

/** Cosine similarity of one row with all others. */
export class Similarity {
  readonly vectors: PagedArray<"f32">;
  readonly scores: PagedArray<"f32">;
  readonly #kernel: Kernel;
  readonly #dimensions: number;

  private constructor(vectors: PagedArray<"f32">, scores: PagedArray<"f32">, kernel: Kernel, dimensions: number) {
    this.vectors = vectors;
    this.scores = scores;
    this.#kernel = kernel;
    this.#dimensions = dimensions;
  }

  static async create(memory: UnifiedMemory, vectors: PagedArray<"f32">, dimensions: number): Promise<Similarity> {
    const scores = memory.createArray("f32", vectors.length / dimensions, { label: "scores" });
    const kernel = await memory.createKernel({
      label: "cosine",
      wgsl: wgsl(dimensions),
      footprint: { vectors: { each: dimensions }, scores: { each: 1 } },
    });
    return new Similarity(vectors, scores, kernel, dimensions);
  }

  /** The `k` rows nearest to `row`, itself left out. */
  async search(row: number, k: number, onProgress: (completed: number) => void): Promise<Answer> {
    const { vectors, scores } = this;
    const vector = await vectors.read({ start: row * this.#dimensions, length: this.#dimensions });
    const report = await this.#kernel.dispatch({
      invocations: scores.length,
      arrays: { vectors, scores },
      uniforms: { direction: directionOf(vector) },
      onProgress: ({ completed }) => onProgress(completed),
    });
    const pin = await scores.pin("read");
    try {
      return { neighbours: nearest(pin.runs, { k, exclude: row }), report };
    } finally {
      pin.release();
    }
  }
}

/** The vector at length 1, in whole vec4f. */
function directionOf(vector: Float32Array): Float32Array {
  const length = Math.hypot(...vector);
  const direction = new Float32Array(Math.ceil(vector.length / 4) * 4);
  direction.set(length === 0 ? vector : vector.map((number) => number / length));
  return direction;
}
