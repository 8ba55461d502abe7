/**
 * A bar from an array's first element to its last, coloured by where they are. It is drawn as it is told, from ranges that
 * `array.residency()` gives; what it shows it also says, for those who do not see it.
 */

import type { PagedArray, Place, ResidentRange } from "pageferry";
import { memorySize } from "../../program/sizes.js";

/** In the order of the legend, with what the legend says. */
export const PLACES: Readonly<Record<Place, string>> = {
  device: "on the device",
  retained: "on the device, and kept in host memory",
  moving: "moving",
  host: "in host memory",
  swap: "in swap",
  lost: "lost with its device",
  none: "not there yet",
};

/** Bytes by place. */
export type Shares = Record<Place, number>;

export class ResidencyBar {
  readonly element = document.createElement("div");
  readonly #array: PagedArray;
  readonly #canvas = document.createElement("canvas");
  readonly #size = document.createElement("span");

  constructor(array: PagedArray) {
    this.#array = array;
    this.element.className = "bar";
    const name = document.createElement("div");
    name.className = "bar-name";
    const label = document.createElement("span");
    label.textContent = array.label;
    this.#size.textContent = memorySize(array.byteLength);
    name.append(label, this.#size);
    this.#canvas.setAttribute("role", "img");
    this.#canvas.dataset["array"] = array.label;
    this.element.append(name, this.#canvas);
  }

  /** `colours` are those of the places, as the page has them at this moment. */
  draw(ranges: readonly ResidentRange[], colours: Readonly<Record<Place, string>>): Shares {
    const { width, height } = this.#fit();
    const context = this.#canvas.getContext("2d");
    const { length, byteLength, label } = this.#array;
    const shares: Shares = { device: 0, retained: 0, moving: 0, host: 0, swap: 0, lost: 0, none: 0 };
    context?.clearRect(0, 0, width, height);
    for (const { start, length: count, place } of ranges) {
      shares[place] += (count / length) * byteLength;
      if (context === null) continue;
      context.fillStyle = colours[place];
      const from = Math.floor((start / length) * width);
      context.fillRect(from, 0, Math.max(1, Math.ceil(((start + count) / length) * width) - from), height);
    }
    const said = Object.entries(shares)
      .filter(([, bytes]) => bytes > 0)
      .map(([place, bytes]) => `${((bytes / byteLength) * 100).toFixed(1)}% ${PLACES[place as Place]}`);
    this.#canvas.setAttribute("aria-label", `${label}: ${said.join(", ")}`);
    return shares;
  }

  /** As many pixels as the screen has for it. */
  #fit(): { width: number; height: number } {
    const canvas = this.#canvas;
    const width = Math.max(1, Math.round(canvas.clientWidth * devicePixelRatio));
    const height = Math.max(1, Math.round(canvas.clientHeight * devicePixelRatio));
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    return { width, height };
  }
}
