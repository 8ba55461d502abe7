/**
 * The page: it loads words and vectors, makes a unified memory whose device has room for a quarter of them, searches, and shows
 * all the while where the pages are.
 */

import { createUnifiedMemory, KiB, MiB, type PagedArray, type Place, type Stats, type UnifiedMemory } from "pageferry";
import { loadNpy } from "pageferry/npy";
import { count, fileSize, memorySize } from "../../program/sizes.js";
import { chooseDevice } from "./choose-device.js";
import { PLACES, ResidencyBar, type Shares } from "./residency-bar.js";
import { type Answer, Similarity } from "./similarity.js";

const NEIGHBOURS = 10;
/** Places that the legend names only while something is there. */
const RARE: readonly string[] = ["swap", "lost"];
const SUGGESTIONS = ["queen", "physics", "guitar", "linux", "river", "seven"];

function element<E extends HTMLElement>(id: string, kind: new () => E): E {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new Error(`the page has no ${id}`);
  return found;
}

const word = element("word", HTMLInputElement);
const go = element("go", HTMLButtonElement);
const message = element("message", HTMLElement);
const legend = element("legend", HTMLElement);
const colours = legendOf(legend);

function say(text: string, failed = false): void {
  message.textContent = text;
  message.classList.toggle("failed", failed);
}

/** What the page shows of the memory, drawn at every frame while something is under way. */
class Residency {
  readonly #memory: UnifiedMemory;
  readonly #bars: { readonly array: PagedArray; readonly bar: ResidencyBar }[] = [];
  readonly #budget = document.createElement("div");
  readonly #used = document.createElement("span");
  readonly #container = element("bars", HTMLElement);
  #watching = 0;

  constructor(memory: UnifiedMemory) {
    this.#memory = memory;
    const name = document.createElement("div");
    name.className = "bar-name";
    const label = document.createElement("span");
    label.textContent = "device memory";
    name.append(label, this.#used);
    const track = document.createElement("div");
    track.className = "budget";
    track.append(this.#budget);
    const whole = document.createElement("div");
    whole.className = "bar";
    whole.append(name, track);
    this.#container.append(whole);
    addEventListener("resize", () => void this.draw());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => void this.draw());
  }

  add(array: PagedArray): void {
    const bar = new ResidencyBar(array);
    this.#bars.push({ array, bar });
    this.#container.lastElementChild?.before(bar.element);
  }

  /** Draws until the work has ended, and once more. */
  async during<T>(work: Promise<T>): Promise<T> {
    this.#watching++;
    if (this.#watching === 1) void this.#watch();
    try {
      return await work;
    } finally {
      this.#watching--;
      await this.draw();
    }
  }

  async draw(): Promise<void> {
    const total: Shares = { device: 0, retained: 0, moving: 0, host: 0, swap: 0, lost: 0, none: 0 };
    const now = colours();
    for (const { array, bar } of this.#bars) {
      const shares = bar.draw(await array.residency(), now);
      for (const [place, bytes] of Object.entries(shares)) total[place as Place] += bytes;
    }
    for (const [place, bytes] of Object.entries(total)) {
      const entry = legend.querySelector<HTMLElement>(`[data-place="${place}"]`);
      if (entry === null) continue;
      entry.hidden = bytes === 0 && RARE.includes(place);
      entry.querySelector("b")?.replaceChildren(memorySize(Math.round(bytes)));
    }
    const { usedBytes, budgetBytes } = this.#memory.stats.device;
    this.#budget.style.width = `${(usedBytes / budgetBytes) * 100}%`;
    this.#used.textContent = `${memorySize(usedBytes)} of ${memorySize(budgetBytes)} used`;
  }

  async #watch(): Promise<void> {
    while (this.#watching > 0) {
      await new Promise((resolve) => requestAnimationFrame(resolve));
      await this.draw();
    }
  }
}

/** Makes the legend; gives the colours of its places as they are now, light or dark. */
function legendOf(list: HTMLElement): () => Record<Place, string> {
  const swatches = Object.entries(PLACES).map(([place, what]) => {
    const swatch = document.createElement("i");
    swatch.style.background = `var(--${place})`;
    const bytes = document.createElement("b");
    const entry = document.createElement("li");
    entry.dataset["place"] = place;
    entry.hidden = RARE.includes(place);
    entry.append(swatch, what, bytes);
    list.append(entry);
    return [place, swatch] as const;
  });
  return () =>
    Object.fromEntries(swatches.map(([place, swatch]) => [place, getComputedStyle(swatch).backgroundColor])) as Record<
      Place,
      string
    >;
}

interface Data {
  readonly words: readonly string[];
  /** The file of vectors, and how long it is. */
  readonly vectors: Response;
  readonly bytes: number;
  /** Whom it comes from. */
  readonly source: string;
}

async function fetchData(): Promise<Data> {
  const [words, source, vectors] = await Promise.all([
    fetched("/data/words.txt").then((response) => response.text()),
    fetched("/data/source.txt").then((response) => response.text()),
    fetched("/data/vectors.npy"),
  ]);
  const bytes = Number(vectors.headers.get("Content-Length"));
  return { words: words.replace(/\r?\n$/, "").split(/\r?\n/), vectors, bytes, source };
}

async function fetched(path: string): Promise<Response> {
  const response = await fetch(path);
  if (!response.ok) throw new Error(`${path}: ${response.status} ${response.statusText}`);
  return response;
}

/** The same bytes; tells how many have passed. */
function counted(stream: ReadableStream<Uint8Array>, passed: (bytes: number) => void): ReadableStream<Uint8Array> {
  let bytes = 0;
  return stream.pipeThrough(
    new TransformStream<Uint8Array, Uint8Array>({
      transform(chunk, controller) {
        passed((bytes += chunk.byteLength));
        controller.enqueue(chunk);
      },
    }),
  );
}

async function start(): Promise<void> {
  const { words, vectors: file, bytes, source } = await fetchData();
  const pageSize = bytes < 16 * MiB ? 4 * KiB : 64 * KiB;
  const budget = Math.ceil(bytes / 4 / pageSize) * pageSize;
  const { driver, name, why } = await chooseDevice(budget);
  const memory = await createUnifiedMemory({ device: driver, pageSize });
  element("device", HTMLElement).textContent =
    `Device: ${memory.stats.device.name}, pages of ${memorySize(pageSize)}, ${why}.`;

  document.body.dataset["device"] = name;
  const residency = new Residency(memory);
  const body = file.body ?? new Blob([]).stream();
  const loading = loadNpy(memory, counted(body, showLoaded(bytes)), { label: "vectors" });
  const { array, shape } = await loading;
  const vectors = array as PagedArray<"f32">;
  const [rows = 0, dimensions = 0] = shape;
  if (vectors.type !== "f32" || shape.length !== 2 || rows !== words.length)
    throw new Error(`${words.length} words, and vectors of ${vectors.type} in ${shape.join(" x ")}`);
  const similarity = await Similarity.create(memory, vectors, dimensions);
  residency.add(vectors);
  residency.add(similarity.scores);
  await residency.draw();
  element("data", HTMLElement).textContent =
    `${count(rows)} words × ${dimensions} numbers, ${fileSize(vectors.byteLength)}, through ${memorySize(budget)} of device memory.`;
  element("source", HTMLElement).textContent = source;

  const places = new Map(words.map((text, row) => [text, row]));
  let busy = false;
  const search = async (): Promise<void> => {
    const row = places.get(word.value.trim()) ?? places.get(word.value.trim().toLowerCase());
    if (row === undefined) return say(`“${word.value}” is not among the ${count(rows)} words.`, true);
    if (busy) return;
    busy = true;
    go.disabled = true;
    try {
      const before = memory.stats;
      const began = performance.now();
      const progress = (done: number): void => say(`Compared ${count(done)} of ${count(rows)} words …`);
      const answer = await residency.during(similarity.search(row, NEIGHBOURS, progress));
      const took = performance.now() - began;
      showAnswer(words[row], answer, words);
      showNumbers(answer, took, before, memory.stats);
      say(`Compared ${count(rows)} words in ${took.toFixed(0)} ms.`);
    } catch (error) {
      say(String(error), true);
    } finally {
      busy = false;
      go.disabled = false;
    }
  };
  element("search", HTMLFormElement).addEventListener("submit", (event) => {
    event.preventDefault();
    void search();
  });
  const known = SUGGESTIONS.filter((text) => places.has(text));
  for (const text of known.length > 0 ? known : words.slice(0, SUGGESTIONS.length)) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = text;
    button.addEventListener("click", () => {
      word.value = text;
      void search();
    });
    element("suggestions", HTMLElement).append(button);
  }
  say("Ready: ask for a word.");
  go.disabled = false;
  document.body.dataset["state"] = "ready";
}

function showLoaded(bytes: number): (loaded: number) => void {
  return (loaded) => say(`Loaded ${fileSize(loaded)} of ${fileSize(bytes)} …`);
}

function showAnswer(asked: string, { neighbours }: Answer, words: readonly string[]): void {
  element("answer-title", HTMLElement).textContent = `Nearest to “${asked}”`;
  element("answer", HTMLElement).replaceChildren(
    ...neighbours.map(({ index, similarity }) => {
      const entry = document.createElement("li");
      const name = document.createElement("span");
      name.textContent = words[index];
      const track = document.createElement("div");
      track.style.width = `${Math.max(0, similarity) * 100}%`;
      const value = document.createElement("data");
      value.value = String(similarity);
      value.textContent = similarity.toFixed(3);
      entry.append(name, track, value);
      return entry;
    }),
  );
}

function showNumbers({ report }: Answer, took: number, before: Stats, after: Stats): void {
  const { phases, moved } = report;
  const dropped = after.droppedClean.pages - before.droppedClean.pages;
  const numbers: [what: string, value: string][] = [
    ["mode", `${report.mode}, ${report.steps} steps`],
    ["copied to the device", memorySize(moved.toDevice)],
    ["copied back", memorySize(moved.toHost)],
    ["left without a copy", `${count(dropped)} pages`],
    ["evictions", count(after.evictions - before.evictions)],
    ["time in copies", `${(phases.upload + phases.evict).toFixed(0)} ms`],
    ["time in the kernel", `${phases.compute.toFixed(0)} ms`],
    ["time in all", `${took.toFixed(0)} ms`],
  ];
  element("numbers", HTMLElement).replaceChildren(
    ...numbers.flatMap(([what, value]) => {
      const term = document.createElement("dt");
      term.textContent = what;
      const description = document.createElement("dd");
      description.textContent = value;
      return [term, description];
    }),
  );
}

try {
  await start();
} catch (error) {
  say(String(error), true);
  document.body.dataset["state"] = "failed";
  throw error;
}
