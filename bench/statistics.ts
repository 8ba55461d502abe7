/** Order statistics of a handful of samples: what a noisy machine leaves of a measurement. */

/** The value below which a fraction of the samples lies, interpolated between neighbours. */
export function quantile(samples: readonly number[], fraction: number): number {
  const sorted = samples.toSorted((a, b) => a - b);
  const place = (sorted.length - 1) * fraction;
  const below = Math.floor(place);
  const above = Math.min(below + 1, sorted.length - 1);
  return sorted[below] + (sorted[above] - sorted[below]) * (place - below);
}

export function median(samples: readonly number[]): number {
  return quantile(samples, 0.5);
}
