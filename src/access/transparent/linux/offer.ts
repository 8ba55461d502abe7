/** What this process may have of the kernel for transparent access, and what is taken of it: methods in the order of preference. */

import { MemoryError } from "../../../mm/errors.js";
import type { ProcessPages } from "../process-pages.js";
import { CopyPages } from "./copy-pages.js";
import { MinorPages } from "./minor-pages.js";
import { MovePages } from "./move-pages.js";
import {
  FEATURE_MINOR_SHMEM,
  FEATURE_MOVE,
  FEATURE_WRITE_PROTECT,
  FEATURE_WRITE_PROTECT_SHMEM,
  type Userfaultfd,
} from "./userfaultfd.js";
import { WAY_OUT } from "./system.js";

/** How the process's page table is written. */
export type FaultMethod = "move" | "minor" | "copy";

interface Method {
  readonly name: FaultMethod;
  /** Bits that the kernel has to have. */
  readonly features: readonly number[];
  /** Where they are missing. */
  readonly since: string;
  readonly make: (watch: Userfaultfd, pageSize: number) => ProcessPages;
}

const METHODS: readonly Method[] = [
  {
    name: "move",
    features: [FEATURE_WRITE_PROTECT, FEATURE_MOVE],
    since: "UFFDIO_MOVE: Linux 6.8",
    make: (watch, pageSize) => new MovePages(watch, pageSize),
  },
  {
    name: "minor",
    features: [FEATURE_MINOR_SHMEM, FEATURE_WRITE_PROTECT_SHMEM],
    since: "MINOR faults of shared memory with write protection: Linux 6.4",
    make: (watch) => new MinorPages(watch),
  },
  {
    name: "copy",
    features: [FEATURE_WRITE_PROTECT],
    since: "write protection: Linux 5.7",
    make: (watch) => new CopyPages(watch),
  },
];

export const FAULT_METHODS: readonly FaultMethod[] = METHODS.map(({ name }) => name);

/** What each method lacks here; null for one that can be used. */
export function missingFor(watch: Userfaultfd): ReadonlyMap<FaultMethod, string | null> {
  return new Map(
    METHODS.map(({ name, features, since }) => [name, features.every((bit) => watch.has(bit)) ? null : since]),
  );
}

/** The first method that can be used, or the one that is asked for, for pages of a size. ENOTSUP says what the kernel lacks. */
export function chooseMethod(watch: Userfaultfd, pageSize: number, asked?: FaultMethod): ProcessPages {
  const missing = missingFor(watch);
  for (const { name, make } of METHODS) {
    if (missing.get(name) === null && (asked ?? name) === name) return make(watch, pageSize);
  }
  const lacks = METHODS.filter(({ name }) => (asked ?? name) === name).map(({ since }) => since);
  throw new MemoryError(
    "ENOTSUP",
    `cpuAccess: "transparent" needs what this kernel does not have (${lacks.join("; ")}); ${WAY_OUT}`,
  );
}
