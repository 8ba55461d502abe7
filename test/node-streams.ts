/** Node's own streams, for suites that run in a page as well, where there are none. */

import type * as stream from "node:stream";

export type NodeStreams = typeof stream;

interface Builtin {
  getBuiltinModule?(name: "node:stream"): NodeStreams;
}

/** Null in a page of a browser. */
export const nodeStreams: NodeStreams | null =
  (globalThis as { process?: Builtin }).process?.getBuiltinModule?.("node:stream") ?? null;
