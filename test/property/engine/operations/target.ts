/** Pages that an operation works on, and what its answer may be. */

import { MemoryError } from "../../../../src/mm/errors.js";
import { FAULT_OOM } from "../../../../src/mm/fault/fault.js";
import { PROT_READ, PROT_WRITE } from "../../../../src/mm/space/vma.js";
import type { Space } from "../space.js";
import type { Operation, World } from "../world.js";

/** Pages of an address space. */
export interface Target {
  readonly space: Space;
  readonly start: number;
  readonly end: number;
}

export const READ_WRITE = PROT_READ | PROT_WRITE;

export function name(what: string, { space, start, end }: Target): string {
  return `${what} pages ${start} to ${end} of address space ${space.mm.id}`;
}

/** An access to a range fails exactly when one of its pages forbids it, or is not mapped at all. */
export function access(
  world: World,
  kind: string,
  what: string,
  target: Target,
  protection: number,
  act: (operation: Operation) => Promise<void>,
): void {
  const isAllowed = target.space.allows(target.start, target.end, protection);
  world.begin(kind, name(what, target), target, act, (error) =>
    isAllowed ? error === null : error?.code === "EFAULT" || error?.code === "EPERM",
  );
}

/** A call that acts on what is mapped of a range, and complains exactly when that is not all. */
export function advise(world: World, kind: string, what: string, target: Target, act: () => Promise<void>): void {
  const isWhole = target.space.firstHole(target.start, target.end) === target.end;
  world.begin(kind, name(what, target), target, act, (error) => (isWhole ? error === null : error?.code === "ENOMEM"));
}

export function faultError(code: number, page: number): MemoryError {
  return code === FAULT_OOM
    ? new MemoryError("ENOMEM", `no memory for page ${page}`)
    : new MemoryError("EFAULT", `page ${page} may not be accessed`);
}
