/** A value as a failed assertion shows it: on one line, and no longer than somebody reads. */

const DEEPEST = 4;
const MOST_ITEMS = 40;
const LONGEST = 2000;

export function show(value: unknown): string {
  const text = shown(value, 0);
  return text.length <= LONGEST ? text : `${text.slice(0, LONGEST)}…`;
}

function shown(value: unknown, depth: number): string {
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value === "function") return `[function ${value.name}]`;
  if (typeof value !== "object" || value === null) return Object.is(value, -0) ? "-0" : String(value);
  if (value instanceof Error) return `[${String(value)}]`;
  if (value instanceof RegExp || value instanceof Date) return String(value);
  if (depth === DEEPEST) return "…";
  if (ArrayBuffer.isView(value) && !(value instanceof DataView)) {
    const numbers = value as unknown as ArrayLike<number | bigint>;
    return `${value.constructor.name}(${numbers.length}) ${list("[", Array.from(numbers, String), "]")}`;
  }
  if (Array.isArray(value))
    return list(
      "[",
      value.map((item) => shown(item, depth + 1)),
      "]",
    );
  if (value instanceof Set)
    return `Set ${list(
      "{",
      [...value].map((item) => shown(item, depth + 1)),
      "}",
    )}`;
  const entries = value instanceof Map ? [...value] : Object.entries(value);
  const name = Object.getPrototypeOf(value) === null ? "null" : value.constructor.name;
  const items = entries.map(
    ([key, item]) => `${typeof key === "string" ? key : shown(key, depth + 1)}: ${shown(item, depth + 1)}`,
  );
  return `${name === "Object" ? "" : `${name} `}${list("{", items, "}")}`;
}

function list(open: string, items: readonly string[], close: string): string {
  const more = items.length > MOST_ITEMS ? [`… ${items.length - MOST_ITEMS} more`] : [];
  return `${open}${[...items.slice(0, MOST_ITEMS), ...more].join(", ")}${close}`;
}
