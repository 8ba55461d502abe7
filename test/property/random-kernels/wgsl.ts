/** The text of a random kernel: a whole module, as a program without this library would have it. */

import {
  arraysOf,
  type Element,
  ELEMENTS,
  invocationsOf,
  type KernelArray,
  type RandomKernel,
  type Value,
  type Word,
  workgroupsOf,
} from "./kernel.js";

export function textOf(kernel: RandomKernel): string {
  const arrays = arraysOf(kernel);
  const { workgroup, shape, together } = kernel;
  const variables = arrays.map(
    (array, i) =>
      `@group(0) @binding(${i}) var<storage, ${array.written ? "read_write" : "read"}> ${array.name}: ${typeOf(array)};`,
  );
  const { size } = workgroupsOf(kernel);
  const body = [...statementsOf(kernel), ...(together === null ? [] : togetherOf(kernel, together, size))];
  if (body.some((line) => line.includes("factor"))) variables.push(`@group(1) @binding(0) var<uniform> factor: u32;`);
  if (together !== null) variables.push(`var<workgroup> tile: array<u32, ${size}>;`);
  const isCell = arrays.some(({ element }) => element.name === "Cell");
  const guard = shape.map((count, i) => `id.${"xyz"[i]} >= ${count}u`).join(" || ");
  return [
    ...(isCell ? ["struct Cell { a: u32, b: f32, c: vec2i }"] : []),
    ...variables,
    `@compute @workgroup_size(${workgroup.join(", ")}) fn main(`,
    "  @builtin(global_invocation_id) id: vec3u, @builtin(local_invocation_index) place: u32,",
    "  @builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u) {",
    ...(kernel.guarded && together === null ? [`  if (${guard}) { return; }`] : []),
    `  let i = id.x + ${shape[0]}u * (id.y + ${shape[1]}u * id.z);`,
    ...body,
    "}",
    "",
  ].join("\n");
}

function typeOf({ name, element, atomic }: KernelArray): string {
  const type = atomic === null ? element.name : `atomic<${atomic}>`;
  return name === "r" ? type : `array<${type}>`;
}

function statementsOf(kernel: RandomKernel): string[] {
  const { elements, output, inPlace, scatter, reduction, loop, idle } = kernel;
  const value = (of: Value): string => valueOf(kernel, of);
  const lines = loop === null ? [] : loopOf(kernel, loop);
  if (output !== null) {
    const sum = loop === null ? value(output) : `${value(output)} + found`;
    lines.push(`o[i] = ${whole(ELEMENTS[elements.o], sum)};`);
  }
  if (inPlace !== null) {
    const element = ELEMENTS[elements.p];
    const { form, word } = formIn(element, inPlace);
    const place = `p[i]${element.parts[word]}`;
    const type = element.words[word];
    const stores: string[] = [];
    if (form === "=") stores.push(`p[i] = ${whole(element, `${asU32(type, place)} * 3u + ${value(inPlace.value)}`)};`);
    else if (form === "++") stores.push(`${place}++;`);
    else stores.push(`${place} ${form} ${fromU32(type, value(inPlace.value))};`);
    if (inPlace.again) stores.push(`${place} += ${fromU32(type, `${asU32(type, place)} % 100u`)};`);
    lines.push(
      inPlace.conditional ? `if (${asU32(type, place)} % 3u != 0u) { ${stores.join(" ")} }` : stores.join(" "),
    );
  }
  if (scatter?.kind === "permuted") {
    const element = ELEMENTS[elements.s];
    const word = scatter.word % element.words.length;
    if (scatter.form === "=") lines.push(`s[k[i]] = ${whole(element, value(scatter.value))};`);
    else lines.push(`s[k[i]]${element.parts[word]} += ${fromU32(element.words[word], value(scatter.value))};`);
  }
  if (scatter?.kind === "atomic") {
    const given = fromU32(scatter.signed ? "i32" : "u32", value(scatter.value));
    lines.push(`atomic${scatter.atomic}(&b[(${value(scatter.index)}) % arrayLength(&b)], ${given});`);
  }
  if (reduction !== null)
    lines.push(`atomic${reduction.atomic}(&r, ${fromU32(reduction.signed ? "i32" : "u32", value(reduction.value))});`);
  if (idle > 0) return [`  if (i % ${idle}u != 1u) {`, ...lines.map((line) => `    ${line}`), "  }"];
  return lines.map((line) => `  ${line}`);
}

/** Ends with `found`. */
function loopOf(kernel: RandomKernel, { kind, form, most }: NonNullable<RandomKernel["loop"]>): string[] {
  if (kind === "rows") {
    const use = "found += n[e];";
    const until = "f[i + 1u]";
    if (form === "for") return ["var found = 0u;", `for (var e = f[i]; e < ${until}; e++) { ${use} }`];
    if (form === "while") return ["var found = 0u;", "var e = f[i];", `while (e < ${until}) { ${use} e++; }`];
    return ["var found = 0u;", "var e = f[i];", `loop { if (e >= ${until}) { break; } ${use} continuing { e++; } }`];
  }
  const next = "found = (n[found] + steps) % arrayLength(&n);";
  const goesOn = `n[found] % 4u != 0u && steps < ${most}u`;
  const begin = ["var found = i % arrayLength(&n);"];
  if (form === "for") return [...begin, `for (var steps = 0u; ${goesOn}; steps++) { ${next} }`];
  begin.push("var steps = 0u;");
  if (form === "while") return [...begin, `while (${goesOn}) { ${next} steps++; }`, "found += steps << 16u;"];
  return [...begin, `loop { if (!(${goesOn})) { break; } ${next} continuing { steps++; } }`, "found ^= steps << 20u;"];
}

function togetherOf(
  kernel: RandomKernel,
  { kind, value }: NonNullable<RandomKernel["together"]>,
  size: number,
): string[] {
  const lines = [`  tile[place] = ${valueOf(kernel, value)};`, "  workgroupBarrier();"];
  const number = "group.x + groups.x * (group.y + groups.y * group.z)";
  if (kind === "neighbour") return [...lines, `  g[i] = tile[(place + 1u) % ${size}u];`];
  if (kind === "sum" || size === 1 || !Number.isInteger(Math.log2(size))) {
    return [
      ...lines,
      "  if (place == 0u) {",
      `    var sum = 0u; for (var n_ = 0u; n_ < ${size}u; n_++) { sum += tile[n_]; }`,
      `    g[${number}] = sum;`,
      "  }",
    ];
  }
  return [
    ...lines,
    `  for (var half = ${size / 2}u; half > 0u; half /= 2u) {`,
    "    if (place < half) { tile[place] += tile[place + half]; }",
    "    workgroupBarrier();",
    "  }",
    `  if (place == 0u) { g[${number}] = tile[0]; }`,
  ];
}

function valueOf(kernel: RandomKernel, value: Value): string {
  const { elements } = kernel;
  const load = (name: string, element: Element, index: string, word: number): string => {
    const at = word % element.words.length;
    return asU32(element.words[at], `${name}[${index}]${element.parts[at]}`);
  };
  switch (value.kind) {
    case "constant":
      return `${value.value}u`;
    case "uniform":
      return "factor";
    case "id":
      return value.axis === 3 ? "i" : `id.${"xyz"[value.axis]}`;
    case "own":
      return load("p", ELEMENTS[elements.p], "i", value.word);
    case "stream":
      return load("x", ELEMENTS[elements.x], streamIndex(kernel, value.offset), value.word);
    case "table":
      return load("t", ELEMENTS[elements.t], `(${valueOf(kernel, value.index)}) % arrayLength(&t)`, value.word);
    case "binary":
      return `(${valueOf(kernel, value.left)} ${value.operator} ${valueOf(kernel, value.right)})`;
    case "select":
      return `select(${valueOf(kernel, value.left)}, ${valueOf(kernel, value.right)}, ${valueOf(kernel, value.of)} % 3u == 0u)`;
    default:
      return value satisfies never;
  }
}

/** How far from the invocation's first element a load of the stream is: within its footprint. */
export function streamOffset({ each, before, after }: RandomKernel, drawn: number): number {
  return drawn === 7 ? -before : drawn === 6 ? each - 1 + after : drawn % each;
}

function streamIndex(kernel: RandomKernel, drawn: number): string {
  const offset = streamOffset(kernel, drawn);
  const first = kernel.each === 1 ? "i" : `i * ${kernel.each}u`;
  if (offset < 0) return `max(${first}, ${-offset}u) - ${-offset}u`;
  const length = invocationsOf(kernel) * kernel.each + kernel.extra;
  return offset < kernel.each ? `${first} + ${offset}u` : `min(${first} + ${offset}u, ${length - 1}u)`;
}

/** An operation that there is for a word: floats have sums only. */
export function formIn(
  element: Element,
  { form, word }: NonNullable<RandomKernel["inPlace"]>,
): { readonly form: NonNullable<RandomKernel["inPlace"]>["form"]; readonly word: number } {
  const at = word % element.words.length;
  return { word: at, form: element.words[at] === "f32" && form !== "=" ? "+=" : form };
}

function asU32(word: Word, text: string): string {
  return word === "u32" ? text : `u32(${text})`;
}

function fromU32(word: Word, text: string): string {
  return word === "u32" ? text : word === "i32" ? `i32(${text})` : `f32((${text}) & 0xffffu)`;
}

/** An element of which each word has the number, and one more than the word before. */
function whole(element: Element, number: string): string {
  const words = element.words.map((word, i) => fromU32(word, `(${number}) + ${i}u`));
  if (words.length === 1) return fromU32(element.words[0], number);
  if (element.name === "Cell") return `Cell(${words[0]}, ${words[1]}, vec2i(${words[2]}, ${words[3]}))`;
  return `${element.name}(${words.join(", ")})`;
}
