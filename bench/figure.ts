/**
 * One row of the table: what was measured in several rounds, beside what it replaces in the same rounds, and the bounds
 * that it has to keep. The ratio of a row is the median of the rounds' ratios, so that a machine that is slow for a
 * while is slow for both sides.
 */

import { median, quantile } from "./statistics.js";

export interface Baseline {
  readonly name: string;
  /** A sample for each of the row's, taken in the same round and in the same unit. */
  readonly samples: readonly number[];
}

/** A limit of the ratio to the baseline, or of the measured value itself. */
export interface Bound {
  readonly of: "ratio" | "value";
  readonly most?: number;
  readonly least?: number;
  /** Decimals to which the figure is rounded before it is judged: for bounds that say "the same as". */
  readonly decimals?: number;
}

export interface Figure {
  readonly row: string;
  readonly unit: string;
  readonly pageSize: number;
  readonly samples: readonly number[];
  readonly baseline?: Baseline;
  readonly bounds: readonly Bound[];
}

/** A figure as it is printed. */
export interface Judged {
  readonly row: string;
  readonly unit: string;
  readonly pageSize: number;
  readonly ratio: number | null;
  readonly median: number;
  /** First and third quartile: of the ratios, of the samples where there is no baseline. */
  readonly spread: readonly [number, number];
  readonly baseline: { readonly name: string; readonly median: number } | null;
  readonly rounds: number;
  readonly bounds: readonly { readonly text: string; readonly kept: boolean }[];
}

export function judge({ row, unit, pageSize, samples, baseline, bounds }: Figure): Judged {
  const ratios = baseline?.samples.map((base, i) => samples[i] / base);
  const ratio = ratios === undefined ? null : median(ratios);
  const value = median(samples);
  return {
    row,
    unit,
    pageSize,
    ratio,
    median: value,
    spread: [quantile(ratios ?? samples, 0.25), quantile(ratios ?? samples, 0.75)],
    baseline: baseline === undefined ? null : { name: baseline.name, median: median(baseline.samples) },
    rounds: samples.length,
    bounds: bounds.map((bound) => ({
      text: describe(bound, unit),
      kept: isKept(bound, bound.of === "ratio" ? ratio : value),
    })),
  };
}

function isKept({ most = Infinity, least = -Infinity, decimals }: Bound, figure: number | null): boolean {
  if (figure === null) return false;
  const judged = decimals === undefined ? figure : Number(figure.toFixed(decimals));
  return judged <= most && judged >= least;
}

function describe({ of, most, least }: Bound, unit: string): string {
  const limits = [least === undefined ? "" : `>= ${least}`, most === undefined ? "" : `<= ${most}`];
  return `${limits.filter((limit) => limit !== "").join(" and ")} ${of === "ratio" ? "x" : unit}`;
}
