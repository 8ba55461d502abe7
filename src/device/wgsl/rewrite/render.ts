/** The text of a node with some of its parts written anew: what nothing replaces is copied as it stands, comments included. */

import type { Node } from "../parse.js";
import { childrenOf } from "./children.js";

/** The new text of a node, which it makes of its parts by `render`; null to keep it, save for its parts. */
export type Replace = (node: Node, render: (part: Node) => string) => string | null;

/** Replacements may nest: each sees the parts of what it replaces as they are rendered. */
export function render(text: string, node: Node, replace: Replace): string {
  const renderPart = (part: Node): string => render(text, part, replace);
  return replace(node, renderPart) ?? splice(text, node.start, node.end, childrenOf(node), renderPart);
}

/** `[start, end)` of the text, with the parts rendered. */
export function splice(
  text: string,
  start: number,
  end: number,
  parts: readonly Node[],
  renderPart: (part: Node) => string,
): string {
  let result = "";
  let at = start;
  for (const part of parts) {
    result += text.slice(at, part.start) + renderPart(part);
    at = part.end;
  }
  return result + text.slice(at, end);
}
