/**
 * What was thrown in one thread, thrown again in another: name, message, stack, cause, and an error's own fields, which
 * structured cloning would lose (`code` of a `MemoryError` among them).
 */

import { type ErrorCode, MemoryError } from "../mm/errors.js";
import { LostPagesError } from "../mm/lost-pages-error.js";
import { DeviceLostError, type DeviceLostReason } from "./device-lost-error.js";
import { KernelError } from "./kernel-error.js";

/** Can be posted to any thread. */
export type Thrown =
  | {
      readonly kind: "error";
      readonly name: string;
      readonly message: string;
      readonly stack: string | undefined;
      readonly fields: Readonly<Record<string, unknown>>;
      readonly cause: Thrown | null;
    }
  | { readonly kind: "value"; readonly value: unknown };

const STANDARD = { EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError } as const;

/** Causes of causes that are kept: an error may be its own cause. */
const CAUSES = 8;

export function packThrown(thrown: unknown, causes = CAUSES): Thrown {
  if (!(thrown instanceof Error)) return { kind: "value", value: isCloneable(thrown) ? thrown : String(thrown) };
  const fields: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(thrown)) {
    if (name !== "name" && name !== "cause" && isCloneable(value)) fields[name] = value;
  }
  const cause = thrown.cause === undefined || causes === 0 ? null : packThrown(thrown.cause, causes - 1);
  const { name, message, stack } = thrown;
  return { kind: "error", name: String(name), message: String(message), stack, fields, cause };
}

/** The errors of the package are what they were; so are those of the language; any other is an `Error` with the name that it had. */
export function unpackThrown(thrown: Thrown): unknown {
  if (thrown.kind === "value") return thrown.value;
  const { name, message, stack, fields } = thrown;
  const options = thrown.cause === null ? {} : { cause: unpackThrown(thrown.cause) };
  const error = errorOf(thrown, options);
  if (error.name !== name) Object.defineProperty(error, "name", { value: name, configurable: true, writable: true });
  Object.assign(error, fields);
  Object.defineProperty(error, "message", { value: message, configurable: true, writable: true });
  Object.defineProperty(error, "stack", { value: stack, configurable: true, writable: true });
  return error;
}

function errorOf({ name, message, fields }: Thrown & { kind: "error" }, options: ErrorOptions): Error {
  if (name === "KernelError") {
    const { reason, line, column, code } = fields;
    return new KernelError(String(reason), Number(line), Number(column), code as ErrorCode);
  }
  if (name === "DeviceLostError")
    return new DeviceLostError("", fields["reason"] as DeviceLostReason, String(fields["details"]), options);
  if (name === "LostPagesError") return new LostPagesError(Number(fields["first"]), Number(fields["end"]));
  if (name === "MemoryError") return new MemoryError(fields["code"] as ErrorCode, message, options);
  const Standard = Object.hasOwn(STANDARD, name) ? STANDARD[name as keyof typeof STANDARD] : Error;
  return new Standard(message, options);
}

function isCloneable(value: unknown): boolean {
  if (typeof value === "function" || typeof value === "symbol") return false;
  if (typeof value !== "object" || value === null) return true;
  try {
    structuredClone(value);
    return true;
  } catch {
    return false;
  }
}
