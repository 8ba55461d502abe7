/** Node's hooks, in a thread of their own: the source of one module with a bug in it. */

import type { InitializeHook, LoadHook } from "node:module";

interface Altered {
  readonly url: string;
  readonly text: string;
  readonly replacement: string;
}

let altered: Altered | undefined;

export const initialize: InitializeHook<Altered> = (data) => {
  altered = data;
};

export const load: LoadHook = async (url, context, nextLoad) => {
  const loaded = await nextLoad(url, context);
  if (url !== altered?.url) return loaded;
  const source = new TextDecoder().decode(loaded.source as Uint8Array<ArrayBuffer>);
  return { ...loaded, source: source.split(altered.text).join(altered.replacement) };
};
