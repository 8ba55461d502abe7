/**
 * What the tests use of `node:test`, for a page of a browser. Tests of a file run one after the other in the order in which
 * they stand; what a test leaves to be done after it is done, also when it failed; a failed subtest fails its test. What a
 * file asks for that is not here throws when it is asked for, so that no test is passed over in silence.
 */

/** How one test went, of those within which it stands first. */
export interface TestOutcome {
  readonly path: readonly string[];
  readonly outcome: "passed" | "failed" | "skipped";
  /** Of a failed test: what was thrown. */
  readonly error?: string;
  readonly reason?: string;
  readonly milliseconds: number;
}

/** Who hears how the tests go. */
export interface Listener {
  begun(path: readonly string[]): void;
  ended(outcome: TestOutcome): void;
  diagnostic(path: readonly string[], message: string): void;
}

interface Options {
  readonly skip?: boolean | string;
  readonly concurrency?: number;
}

type Body = (t: TestContext) => unknown;
type Hook = () => unknown;

interface Registered {
  readonly name: string;
  readonly options: Options;
  readonly body: Body;
  /** Of a suite, what stands in it. */
  readonly suite: Suite | null;
}

class Suite {
  readonly registered: Registered[] = [];
  readonly before: Hook[] = [];
  readonly after: Hook[] = [];
  readonly beforeEach: Hook[] = [];
  readonly afterEach: Hook[] = [];
}

const file = new Suite();
/** The suite whose body runs just now. */
let open = file;
let listener: Listener;

export class TestContext {
  readonly name: string;
  readonly #path: readonly string[];
  readonly #after: Hook[] = [];
  /** Subtests that failed. */
  #failed = 0;
  #skipped: string | null = null;

  readonly mock = {
    method: <Target extends object>(target: Target, name: keyof Target, replacement: unknown): void => {
      const own = Object.getOwnPropertyDescriptor(target, name);
      Object.defineProperty(target, name, { value: replacement, configurable: true, writable: true });
      this.after(() => {
        if (own === undefined) delete target[name];
        else Object.defineProperty(target, name, own);
      });
    },
  };

  constructor(path: readonly string[]) {
    this.#path = path;
    this.name = path[path.length - 1];
  }

  after(hook: Hook): void {
    this.#after.push(hook);
  }

  diagnostic(message: string): void {
    listener.diagnostic(this.#path, message);
  }

  skip(reason = ""): void {
    this.#skipped = reason;
  }

  async test(name: string, ...rest: [body: Body] | [options: Options, body: Body]): Promise<void> {
    if (!(await runOne(this.#path, registration(name, rest, null)))) this.#failed++;
  }

  /** Runs the test. What it threw, or what was thrown after it; the reason where it was skipped. */
  async run(body: Body, around: readonly Suite[]): Promise<{ errors: unknown[]; skipped: string | null }> {
    const errors: unknown[] = [];
    const attempt = async (work: () => unknown): Promise<void> => {
      try {
        await work();
      } catch (error) {
        errors.push(error);
      }
    };
    for (const { beforeEach } of around) for (const hook of beforeEach) await attempt(hook);
    if (errors.length === 0) await attempt(() => body(this));
    for (const hook of this.#after) await attempt(hook);
    for (const { afterEach } of around.toReversed()) for (const hook of afterEach) await attempt(hook);
    if (this.#failed > 0) errors.push(`${this.#failed} subtests failed`);
    return { errors, skipped: this.#skipped };
  }
}

export function test(name: string, ...rest: [body: Body] | [options: Options, body: Body]): void {
  open.registered.push(registration(name, rest, null));
}

export function describe(name: string, ...rest: [body: () => void] | [options: Options, body: () => void]): void {
  const suite = new Suite();
  const outer = open;
  open.registered.push(registration(name, rest, suite));
  open = suite;
  try {
    const body = rest[rest.length - 1] as () => unknown;
    if (body() instanceof Promise)
      throw new TypeError(`the suite "${name}" is asynchronous, which is not supported here`);
  } finally {
    open = outer;
  }
}

export { describe as suite, test as it };

export function before(hook: Hook): void {
  open.before.push(hook);
}

export function after(hook: Hook): void {
  open.after.push(hook);
}

export function beforeEach(hook: Hook): void {
  open.beforeEach.push(hook);
}

export function afterEach(hook: Hook): void {
  open.afterEach.push(hook);
}

/** Runs all that has been registered; the page calls this when the file has been imported. */
export async function runTests(heard: Listener): Promise<void> {
  listener = heard;
  const fault = await runSuite([], file, []);
  if (fault !== null) heard.ended({ path: ["(file)"], outcome: "failed", error: fault, milliseconds: 0 });
}

/** What was thrown by what is done before and after the whole suite, or null. */
async function runSuite(path: readonly string[], suite: Suite, around: readonly Suite[]): Promise<string | null> {
  const within = [...around, suite];
  try {
    for (const hook of suite.before) await hook();
    for (const registered of suite.registered) await runOne(path, registered, within);
    return null;
  } catch (error) {
    return describeError(error);
  } finally {
    for (const hook of suite.after) await hook();
  }
}

/** Did it pass? */
async function runOne(
  outer: readonly string[],
  { name, options, body, suite }: Registered,
  around: readonly Suite[] = [],
): Promise<boolean> {
  const path = [...outer, name];
  const { skip = false } = options;
  const started = performance.now();
  const milliseconds = (): number => performance.now() - started;
  if (skip !== false) {
    listener.ended({ path, outcome: "skipped", reason: skip === true ? "" : skip, milliseconds: 0 });
    return true;
  }
  if (suite !== null) {
    const fault = await runSuite(path, suite, around);
    if (fault !== null) listener.ended({ path, outcome: "failed", error: fault, milliseconds: milliseconds() });
    return fault === null;
  }
  listener.begun(path);
  const { errors, skipped } = await new TestContext(path).run(body, around);
  if (errors.length > 0) {
    const error = errors.map(describeError).join("\n");
    listener.ended({ path, outcome: "failed", error, milliseconds: milliseconds() });
  } else if (skipped !== null) {
    listener.ended({ path, outcome: "skipped", reason: skipped, milliseconds: milliseconds() });
  } else {
    listener.ended({ path, outcome: "passed", milliseconds: milliseconds() });
  }
  return errors.length === 0;
}

const KNOWN_OPTIONS = new Set(["skip", "concurrency"]);

function registration(
  name: string,
  rest: readonly [Body | (() => void)] | readonly [Options, Body | (() => void)],
  suite: Suite | null,
): Registered {
  const options = rest.length === 2 ? rest[0] : {};
  const body = rest[rest.length - 1];
  if (typeof name !== "string" || typeof body !== "function")
    throw new TypeError(`a test has a name and a function, which ${String(name)} has not`);
  const unknown = Object.keys(options).filter((key) => !KNOWN_OPTIONS.has(key));
  if (unknown.length > 0) throw new TypeError(`option ${unknown.join(", ")} of the test "${name}" is not known here`);
  return { name, options, body, suite };
}

/** With its stack and its causes. */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause === undefined ? "" : `\n  caused by: ${describeError(error.cause)}`;
  // V8's stack begins with the error itself.
  return `${error.stack ?? String(error)}${cause}`;
}
