/**
 * What the tests use of `node:assert/strict`, for a page of a browser: the same verdict in every case, by the same names.
 * `test/chromium/assertions.test.ts` holds it against Node's.
 */

import { deepEqual } from "./deep-equal.js";
import { show } from "./show.js";

/** What an error has to be: a pattern of its text, its class, a judge, or some of its properties. */
type Expected = RegExp | (abstract new (...args: never[]) => unknown) | ((error: never) => boolean) | object;

export class AssertionError extends Error {
  override readonly name = "AssertionError";
  readonly code = "ERR_ASSERTION";
  readonly actual: unknown;
  readonly expected: unknown;

  constructor(message: string, actual?: unknown, expected?: unknown) {
    super(message);
    this.actual = actual;
    this.expected = expected;
  }
}

function ok(value: unknown, message?: string | Error): asserts value {
  if (!value) refuse(message, `${show(value)} is not true`, value, true);
}

function equal(actual: unknown, expected: unknown, message?: string | Error): void {
  if (!Object.is(actual, expected))
    refuse(message, `expected ${show(expected)}, got ${show(actual)}`, actual, expected);
}

function notEqual(actual: unknown, expected: unknown, message?: string | Error): void {
  if (Object.is(actual, expected)) refuse(message, `expected anything but ${show(expected)}`, actual, expected);
}

function deeplyEqual(actual: unknown, expected: unknown, message?: string | Error): void {
  if (!deepEqual(actual, expected))
    refuse(message, `expected\n  ${show(expected)}\ngot\n  ${show(actual)}`, actual, expected);
}

function notDeeplyEqual(actual: unknown, expected: unknown, message?: string | Error): void {
  if (deepEqual(actual, expected)) refuse(message, `expected anything but ${show(expected)}`, actual, expected);
}

function match(text: unknown, pattern: RegExp, message?: string | Error): void {
  if (typeof text !== "string" || !pattern.test(text))
    refuse(message, `${show(text)} does not match ${String(pattern)}`, text, pattern);
}

function doesNotMatch(text: unknown, pattern: RegExp, message?: string | Error): void {
  if (typeof text !== "string" || pattern.test(text))
    refuse(message, `${show(text)} matches ${String(pattern)}`, text, pattern);
}

function throws(act: () => unknown, expected?: Expected | string, message?: string | Error): void {
  let thrown: { readonly error: unknown } | null = null;
  try {
    act();
  } catch (error) {
    thrown = { error };
  }
  judge(thrown, "nothing was thrown", expected, message);
}

async function rejects(
  promised: PromiseLike<unknown> | (() => PromiseLike<unknown>),
  expected?: Expected | string,
  message?: string | Error,
): Promise<void> {
  // What a function throws before it gives a promise is the caller's mistake, not a rejection.
  const promise = typeof promised === "function" ? promised() : promised;
  if (typeof promise?.then !== "function") throw new TypeError(`${show(promise)} is no promise`);
  let thrown: { readonly error: unknown } | null = null;
  try {
    await promise;
  } catch (error) {
    thrown = { error };
  }
  judge(thrown, "nothing was rejected", expected, message);
}

function fail(message: string | Error = "Failed"): never {
  refuse(message, "Failed");
}

function judge(
  thrown: { readonly error: unknown } | null,
  nothing: string,
  expected: Expected | string | undefined,
  message: string | Error | undefined,
): void {
  const said = typeof expected === "string" ? expected : message;
  if (thrown === null) refuse(said, `${nothing}${expected === undefined ? "" : `: expected ${show(expected)}`}`);
  const { error } = thrown;
  if (expected === undefined || typeof expected === "string") return;
  if (expected instanceof RegExp) {
    if (!expected.test(String(error)))
      refuse(said, `${show(error)} does not match ${String(expected)}`, error, expected);
  } else if (typeof expected === "function") {
    if (isClassOf(expected, error)) return;
    const isClass = Object.prototype.isPrototypeOf.call(Error, expected);
    const verdict = !isClass && (expected as (error: unknown) => unknown)(error);
    if (verdict !== true) refuse(said, `${show(error)} is not as ${show(expected)} expects`, error, expected);
  } else {
    for (const [key, wanted] of propertiesOf(expected)) {
      const given = (error as Record<string, unknown> | null | undefined)?.[key];
      const fits =
        wanted instanceof RegExp && typeof given === "string" ? wanted.test(given) : deepEqual(given, wanted);
      if (!fits) refuse(said, `${key} of ${show(error)} is ${show(given)}, not ${show(wanted)}`, error, expected);
    }
  }
}

function isClassOf(expected: Function, error: unknown): boolean {
  return expected.prototype !== undefined && error instanceof expected;
}

/** Of an error also its name and message, which are not enumerable. */
function propertiesOf(expected: object): [key: string, value: unknown][] {
  const { name, message } = expected as Error;
  const named: [string, unknown][] =
    expected instanceof Error
      ? [
          ["name", name],
          ["message", message],
        ]
      : [];
  return [...Object.entries(expected), ...named];
}

function refuse(given: string | Error | undefined, otherwise: string, actual?: unknown, expected?: unknown): never {
  if (given instanceof Error) throw given;
  throw new AssertionError(given === undefined ? otherwise : `${given}\n${otherwise}`, actual, expected);
}

const assert = Object.assign(ok, {
  ok,
  equal,
  strictEqual: equal,
  notEqual,
  notStrictEqual: notEqual,
  deepEqual: deeplyEqual,
  deepStrictEqual: deeplyEqual,
  notDeepEqual: notDeeplyEqual,
  notDeepStrictEqual: notDeeplyEqual,
  match,
  doesNotMatch,
  throws,
  rejects,
  fail,
  AssertionError,
});

// eslint-disable-next-line import/no-default-export -- as the module that this stands for has it
export default assert;
