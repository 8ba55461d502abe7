/** A change of one compiled source, and how Node is started with it. */

import { readFileSync } from "node:fs";

/** What takes another's place in one compiled source. */
export interface Alteration {
  /** Below src/, as compiled. */
  readonly file: string;
  readonly text: string;
  readonly replacement: string;
}

const dist = new URL("../../../", import.meta.url);

/**
 * What Node is to be started with, so that the bug is in that module wherever it is loaded, in workers too. The files stay as they
 * are. Throws when the text that the bug replaces does not occur exactly once.
 */
export function optionsWith({ file, text, replacement }: Alteration): readonly string[] {
  const url = new URL(`src/${file}`, dist);
  const parts = readFileSync(url, "utf8").split(text);
  if (parts.length !== 2) throw new Error(`${file} has ${parts.length - 1} times, not once: ${text}`);
  const preload = new URL("preload.js", import.meta.url);
  preload.search = new URLSearchParams({ url: url.href, text, replacement }).toString();
  return ["--import", preload.href];
}
