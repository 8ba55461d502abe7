/** The kinds of actions of these names. Throws when there is none of a name. */
export function focusOf<Kind extends string>(kinds: readonly Kind[], named: readonly string[]): readonly Kind[] {
  const focus = kinds.filter((kind) => named.includes(kind));
  if (focus.length < named.length) throw new Error(`no such kinds of actions: ${named.join(", ")}`);
  return focus;
}
