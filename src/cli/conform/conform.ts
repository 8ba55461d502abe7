/**
 * Replays one trace and says how far it went. A file stops at its first difference, since everything after follows from
 * it; the operations left are counted all the same.
 */

import { compareResults, compareState, type Difference } from "./difference.js";
import { observe } from "./observer.js";
import { perform } from "./operations.js";
import { CannotReplay, Replay } from "./replay.js";
import { type Operation, textOf } from "./trace-format.js";
import { TraceReader } from "./trace-reader.js";

export interface Conformance {
  /** Operations of the file. */
  readonly operations: number;
  /** Of these, how many from the first on had identical results and state. */
  readonly identical: number;
  readonly first: FirstDifference | null;
}

export interface FirstDifference extends Difference {
  /** The operation, counted from 1; 0 when the replay could not begin. */
  readonly operation: number;
  /** The same with its arguments, as text. */
  readonly where: string;
}

/** Throws TraceError for a file that is no trace, and for nothing else. The machine can be a `shared` one. */
export async function conform(file: string, shared = false): Promise<Conformance> {
  const trace = await TraceReader.open(file);
  try {
    const first = await replay(trace, shared);
    const identical = first === null ? trace.operations : Math.max(0, first.operation - 1);
    while ((await trace.operation()) !== undefined);
    return { operations: trace.operations, identical, first };
  } finally {
    await trace.close();
  }
}

async function replay(trace: TraceReader, shared: boolean): Promise<FirstDifference | null> {
  let run: Replay;
  try {
    run = await Replay.begin(trace.header, shared);
  } catch (error) {
    return { ...stopped(error), operation: 0, where: "the mapping under test" };
  }
  for (let operation = await trace.operation(); operation !== undefined; operation = await trace.operation()) {
    const difference = await step(run, operation);
    if (difference !== null)
      return {
        ...difference,
        operation: trace.operations,
        where: `operation ${trace.operations} (${textOf(operation)})`,
      };
  }
  return null;
}

async function step(run: Replay, operation: Operation): Promise<Difference | null> {
  try {
    const difference = compareResults(operation, await perform(run, operation));
    if (difference !== null || operation.state === null) return difference;
    return compareState(operation.state, observe(run));
  } catch (error) {
    return stopped(error);
  }
}

/** An operation that could not be done, or that the engine failed at, is a difference like any other. */
function stopped(error: unknown): Difference {
  const reason = error instanceof Error ? error.message : String(error);
  const field = error instanceof CannotReplay ? "operation" : "engine";
  return { field, process: null, page: null, expected: "an answer", got: reason };
}
