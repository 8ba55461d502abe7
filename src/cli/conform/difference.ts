/**
 * Where a replay and its trace part: the first field, in the order in which the format lists them, that is not the same.
 */

import { decodeRuns } from "./run-length.js";
import { type Operation, type ProcessState, RESULT_FIELDS, type Results } from "./trace-format.js";

export interface Difference {
  /**
   * A field of the results; "process", "pm", "d0" ... of the state; "operation" for one that cannot be replayed, "engine"
   * for one that the engine failed at.
   */
  readonly field: string;
  readonly process: number | null;
  /** The page within the mapping under test. */
  readonly page: number | null;
  readonly expected: string;
  readonly got: string;
}

const PAGE_MAP_DIGITS = 3;
const VIEW_DIGITS = 2;
const ABSENT = "nothing";

export function compareResults({ results: expected, i }: Operation, got: Results): Difference | null {
  for (const field of RESULT_FIELDS) {
    if (field === "values") {
      const difference = compareValues(expected.values, got.values, i);
      if (difference !== null) return difference;
    } else if (expected[field] !== got[field]) {
      return { field, process: null, page: null, expected: show(expected[field]), got: show(got[field]) };
    }
  }
  return null;
}

export function compareState(expected: readonly ProcessState[], got: readonly ProcessState[]): Difference | null {
  for (let k = 0; k < Math.max(expected.length, got.length); k++) {
    const [wanted, found] = [expected[k], got[k]];
    if (wanted?.p !== found?.p) {
      return { field: "process", process: null, page: null, expected: show(wanted?.p), got: show(found?.p) };
    }
    const difference =
      compareCells(wanted.p, "pm", PAGE_MAP_DIGITS, wanted.pm, found.pm) ??
      wanted.devices.reduce<Difference | null>(
        (first, view, d) => first ?? compareCells(wanted.p, `d${d}`, VIEW_DIGITS, view, found.devices[d]),
        null,
      );
    if (difference !== null) return difference;
  }
  return null;
}

/** One line: which operation, which field of which page, and both answers. */
export function describe(difference: Difference): string {
  const { field, process, page, expected, got } = difference;
  if (field === "operation") return got;
  if (field === "engine") return `the engine failed: ${got}`;
  const where = [...(process === null ? [] : [`process ${process}`]), ...(page === null ? [] : [`page ${page}`])];
  return `${[field, ...where].join(", ")}: expected ${expected}, got ${got}`;
}

function compareValues(
  expected: readonly number[] | undefined,
  got: readonly number[] | undefined,
  firstPage: number,
): Difference | null {
  const length = Math.max(expected?.length ?? 0, got?.length ?? 0);
  for (let k = 0; k < length; k++) {
    if (expected?.[k] === got?.[k]) continue;
    return { field: "values", process: null, page: firstPage + k, expected: show(expected?.[k]), got: show(got?.[k]) };
  }
  return null;
}

function compareCells(
  process: number,
  field: string,
  digits: number,
  expected: string,
  got: string,
): Difference | null {
  if (expected === got) return null;
  if (expected.includes("*") || got.includes("*"))
    return compareCells(process, field, digits, decodeRuns(expected), decodeRuns(got));
  for (let at = 0, page = 0; ; at += digits, page++) {
    const [wanted, found] = [expected.slice(at, at + digits), got.slice(at, at + digits)];
    if (wanted === found) continue;
    return { field, process, page, expected: wanted || ABSENT, got: found || ABSENT };
  }
}

function show(value: number | string | boolean | undefined): string {
  return value === undefined ? ABSENT : String(value);
}
