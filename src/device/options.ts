/**
 * Options as callers give them. A slip in a name (`strat` for `start`) would otherwise be a default, and a default may be
 * to overwrite a whole array.
 */

import { MemoryError } from "../mm/errors.js";

/** The names that an options object may have; a compiler's error when one is missing here. */
export type OptionNames<Options> = Readonly<Record<keyof Options, true>>;

/** EINVAL, naming it, for an option that does not exist, and for what is no object at all. Values are the caller's affair. */
export function checkOptions<Options extends object>(what: string, given: unknown, names: OptionNames<Options>): void {
  if (typeof given !== "object" || given === null)
    throw new MemoryError("EINVAL", `${what} takes an object of options, not ${String(given)}`);
  for (const name in given) {
    if (Object.hasOwn(names, name) || (given as Record<string, unknown>)[name] === undefined) continue;
    throw new MemoryError("EINVAL", `${what} has no option "${name}": it has ${Object.keys(names).join(", ")}`);
  }
}
