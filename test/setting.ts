/** What a run of the tests is told: by the environment in Node, by the page's address in a browser. */

const chosen = new Map<string, string>();

export function setting(name: string): string | undefined {
  const { process, location } = globalThis as {
    process?: { readonly env: Record<string, string | undefined> };
    location?: { readonly search: string };
  };
  const given = process === undefined ? new URLSearchParams(location?.search).get(name) : process.env[name];
  return chosen.get(name) ?? given ?? undefined;
}

/** For the rest of this file's run, and for what it imports from now on. */
export function choose(name: string, value: string): void {
  chosen.set(name, value);
}
