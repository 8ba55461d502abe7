/**
 * What a random kernel does, by plain loops over its description: no WGSL is read. Which pages each unit uses is noted
 * meanwhile.
 */

import { strideOf } from "../../../src/device/element.js";
import { seededRandom } from "../../environments.js";
import {
  type ArrayName,
  arraysOf,
  type Atomic,
  bytesOfArray,
  invocationsOf,
  type KernelArray,
  type RandomKernel,
  type Value,
  type Word,
  workgroupsOf,
} from "./kernel.js";
import { formIn, streamOffset } from "./wgsl.js";

export type Contents = Readonly<Record<string, Uint8Array<ArrayBuffer>>>;

export interface Evaluation {
  readonly contents: Contents;
  /** Pages that the unit with the most of them uses, and all units together. */
  readonly mostPages: number;
  readonly pages: number;
  /** By the name of the array: its pages that are stored to. */
  readonly written: ReadonlyMap<string, ReadonlySet<number>>;
}

/** What the arrays hold at first, as the seed says: the same each time. */
export function startOf(kernel: RandomKernel): Contents {
  const random = seededRandom(kernel.seed);
  return Object.fromEntries(
    arraysOf(kernel).map((array) => {
      const bytes = new Uint8Array(bytesOfArray(array));
      const view = new DataView(bytes.buffer);
      const stride = strideOf(array.element.type);
      for (let at = 0; at < bytes.length; at += 4) {
        const word = array.element.words[(at % stride) / 4];
        if (word === "f32") view.setFloat32(at, Math.floor(random() * 65_536), true);
        else view.setUint32(at, Math.floor(random() * 2 ** 32), true);
      }
      const numbers = new Uint32Array(bytes.buffer);
      if (array.name === "k") shuffle(numbers, random);
      if (array.name === "f") rows(numbers, kernel, random);
      return [array.name, bytes];
    }),
  );
}

function shuffle(numbers: Uint32Array, random: () => number): void {
  for (let i = 0; i < numbers.length; i++) {
    const other = Math.floor(random() * (i + 1));
    numbers[i] = numbers[other];
    numbers[other] = i;
  }
}

/** The first of each row, and the end of the last: rows of up to four, as long as there is something left. */
function rows(firsts: Uint32Array, { chainLength }: RandomKernel, random: () => number): void {
  firsts[0] = 0;
  for (let i = 1; i < firsts.length; i++) firsts[i] = Math.min(firsts[i - 1] + Math.floor(random() * 5), chainLength);
}

/** `begin` becomes what the kernel leaves. */
export function evaluate(kernel: RandomKernel, begin: Contents, pageSize: number): Evaluation {
  return new Evaluator(kernel, begin, pageSize).run();
}

class Evaluator {
  readonly #kernel: RandomKernel;
  readonly #contents: Contents;
  readonly #arrays = new Map<ArrayName, Words>();
  readonly #all = new Set<number>();
  #ofUnit = new Set<number>();

  constructor(kernel: RandomKernel, contents: Contents, pageSize: number) {
    this.#kernel = kernel;
    this.#contents = contents;
    let firstPage = 0;
    for (const array of arraysOf(kernel)) {
      const bytes = contents[array.name];
      const use = (page: number): void => void this.#ofUnit.add(page);
      this.#arrays.set(array.name, new Words(array, bytes, firstPage, pageSize, use));
      firstPage += Math.ceil(bytes.length / pageSize);
    }
  }

  run(): Evaluation {
    const kernel = this.#kernel;
    const [x, y] = kernel.shape;
    const { groups, size } = workgroupsOf(kernel);
    let mostPages = 0;
    const end = (): void => {
      mostPages = Math.max(mostPages, this.#ofUnit.size);
      for (const page of this.#ofUnit) this.#all.add(page);
      this.#ofUnit = new Set();
    };
    if (kernel.together === null) {
      for (let i = 0; i < invocationsOf(kernel); i++) {
        this.#invocation([i % x, Math.floor(i / x) % y, Math.floor(i / (x * y))]);
        end();
      }
    } else {
      for (let group = 0; group < groups[0] * groups[1] * groups[2]; group++) {
        this.#workgroup(group, groups, size, kernel.together);
        end();
      }
    }
    return { contents: this.#contents, mostPages, pages: this.#all.size, written: this.#written() };
  }

  #written(): Map<string, ReadonlySet<number>> {
    return new Map([...this.#arrays].map(([name, { written }]) => [name, written]));
  }

  #workgroup(
    group: number,
    groups: readonly number[],
    size: number,
    { kind, value }: NonNullable<RandomKernel["together"]>,
  ): void {
    const { workgroup } = this.#kernel;
    const at = [
      group % groups[0],
      Math.floor(group / groups[0]) % groups[1],
      Math.floor(group / (groups[0] * groups[1])),
    ];
    const ids = Array.from({ length: size }, (_, place) => {
      const local = [
        place % workgroup[0],
        Math.floor(place / workgroup[0]) % workgroup[1],
        Math.floor(place / (workgroup[0] * workgroup[1])),
      ];
      return local.map((part, axis) => at[axis] * workgroup[axis] + part);
    });
    for (const id of ids) this.#invocation(id);
    const tile = ids.map((id) => this.#value(value, id));
    if (kind === "neighbour")
      ids.forEach((id, place) => this.#words("g").set(this.#number(id), 0, tile[(place + 1) % size]));
    else
      this.#words("g").set(
        group,
        0,
        tile.reduce((sum, part) => (sum + part) >>> 0, 0),
      );
  }

  #number([x, y, z]: readonly number[]): number {
    const { shape } = this.#kernel;
    return x + shape[0] * (y + shape[1] * z);
  }

  #words(name: ArrayName): Words {
    return this.#arrays.get(name) as Words;
  }

  #invocation(id: readonly number[]): void {
    const { output, inPlace, scatter, reduction, loop, idle } = this.#kernel;
    const i = this.#number(id);
    if (idle > 0 && i % idle === 1) return;
    const found = loop === null ? 0 : this.#loop(loop, i);
    if (output !== null) this.#words("o").setWhole(i, this.#value(output, id) + found);
    if (inPlace !== null) this.#inPlace(inPlace, i, id);
    if (scatter?.kind === "permuted") {
      const value = this.#value(scatter.value, id);
      const at = this.#words("k").get(i, 0);
      if (scatter.form === "=") this.#words("s").setWhole(at, value);
      else this.#words("s").add(at, scatter.word, value);
    }
    if (scatter?.kind === "atomic") {
      const bins = this.#words("b");
      bins.atomic(this.#value(scatter.index, id) % bins.length, scatter.atomic, this.#value(scatter.value, id));
    }
    if (reduction !== null) this.#words("r").atomic(0, reduction.atomic, this.#value(reduction.value, id));
  }

  #inPlace(inPlace: NonNullable<RandomKernel["inPlace"]>, i: number, id: readonly number[]): void {
    const own = this.#words("p");
    const { form, word } = formIn(own.array.element, inPlace);
    if (inPlace.conditional && own.get(i, word) % 3 === 0) return;
    const value = form === "++" ? 1 : this.#value(inPlace.value, id);
    const before = own.get(i, word);
    if (form === "=") own.setWhole(i, Math.imul(before, 3) + value);
    else if (form === "^=") own.set(i, word, before ^ value);
    else if (form === "*=") own.set(i, word, Math.imul(before, value));
    else own.add(i, word, value);
    if (inPlace.again) own.add(i, word, own.get(i, word) % 100);
  }

  #loop({ kind, form, most }: NonNullable<RandomKernel["loop"]>, i: number): number {
    const next = this.#words("n");
    if (kind === "rows") {
      const firsts = this.#words("f");
      let sum = 0;
      for (let e = firsts.get(i, 0); e < firsts.get(i + 1, 0); e++) sum = (sum + next.get(e, 0)) >>> 0;
      return sum;
    }
    let at = i % next.length;
    let steps = 0;
    for (; next.get(at, 0) % 4 !== 0 && steps < most; steps++) at = ((next.get(at, 0) + steps) >>> 0) % next.length;
    return form === "for" ? at : form === "while" ? at + (steps << 16) : at ^ (steps << 20);
  }

  #value(value: Value, id: readonly number[]): number {
    const i = this.#number(id);
    switch (value.kind) {
      case "constant":
        return value.value;
      case "uniform":
        return this.#kernel.uniform;
      case "id":
        return value.axis === 3 ? i : id[value.axis];
      case "own":
        return this.#words("p").get(i, value.word);
      case "stream": {
        const { each } = this.#kernel;
        const x = this.#words("x");
        const at = i * each + streamOffset(this.#kernel, value.offset);
        return x.get(Math.min(Math.max(at, 0), x.length - 1), value.word);
      }
      case "table": {
        const table = this.#words("t");
        return table.get(this.#value(value.index, id) % table.length, value.word);
      }
      case "binary": {
        const [left, right] = [this.#value(value.left, id), this.#value(value.right, id)];
        if (value.operator === "*") return Math.imul(left, right) >>> 0;
        if (value.operator === "^") return (left ^ right) >>> 0;
        return (value.operator === "+" ? left + right : left - right) >>> 0;
      }
      case "select": {
        const [left, right] = [this.#value(value.left, id), this.#value(value.right, id)];
        return this.#value(value.of, id) % 3 === 0 ? right : left;
      }
      default:
        return value satisfies never;
    }
  }
}

/** The words of an array: `u32` to whoever asks, whatever they are. */
class Words {
  readonly array: KernelArray;
  readonly length: number;
  readonly written = new Set<number>();
  readonly #view: DataView;
  readonly #stride: number;
  readonly #firstPage: number;
  readonly #pageSize: number;
  readonly #use: (page: number) => void;

  constructor(
    array: KernelArray,
    bytes: Uint8Array<ArrayBuffer>,
    firstPage: number,
    pageSize: number,
    use: (page: number) => void,
  ) {
    this.array = array;
    this.length = array.length;
    this.#view = new DataView(bytes.buffer);
    this.#stride = strideOf(array.element.type);
    this.#firstPage = firstPage;
    this.#pageSize = pageSize;
    this.#use = use;
  }

  get(element: number, word: number): number {
    const { at, type } = this.#place(element, word);
    return type === "f32" ? this.#view.getFloat32(at, true) : this.#view.getUint32(at, true);
  }

  set(element: number, word: number, value: number): void {
    const { at, type } = this.#placeToWrite(element, word);
    if (type === "f32") this.#view.setFloat32(at, value & 0xffff, true);
    else this.#view.setUint32(at, value >>> 0, true);
  }

  setWhole(element: number, value: number): void {
    for (let word = 0; word < this.array.element.words.length; word++) this.set(element, word, (value + word) >>> 0);
  }

  add(element: number, word: number, value: number): void {
    const { at, type } = this.#placeToWrite(element, word);
    if (type === "f32") this.#view.setFloat32(at, this.#view.getFloat32(at, true) + (value & 0xffff), true);
    else this.#view.setUint32(at, this.#view.getUint32(at, true) + value, true);
  }

  atomic(element: number, atomic: Atomic, value: number): void {
    const { at, type } = this.#placeToWrite(element, 0);
    const before = type === "i32" ? this.#view.getInt32(at, true) : this.#view.getUint32(at, true);
    const given = type === "i32" ? value | 0 : value >>> 0;
    const after = {
      Add: before + given,
      Min: Math.min(before, given),
      Max: Math.max(before, given),
      Or: before | given,
      Xor: before ^ given,
      And: before & given,
    }[atomic];
    this.#view.setUint32(at, after >>> 0, true);
  }

  #placeToWrite(element: number, word: number): { readonly at: number; readonly type: Word } {
    const place = this.#place(element, word);
    this.written.add(Math.floor(place.at / this.#pageSize));
    return place;
  }

  #place(element: number, word: number): { readonly at: number; readonly type: Word } {
    if (!(element >= 0 && element < this.length))
      throw new Error(`element ${element} of ${this.length} of "${this.array.name}": the kernel is wrong`);
    const { words } = this.array.element;
    const at = element * this.#stride + 4 * (word % words.length);
    this.#use(this.#firstPage + Math.floor(at / this.#pageSize));
    return { at, type: words[word % words.length] };
  }
}
