/** How the arrays of a shader begin: numbers that a seed decides. */

import { layoutOf, type ScalarType } from "../../src/device/layout.js";
import { type ElementType, strideOf, type StructType, type View, viewOf } from "../../src/device/element.js";
import { seededRandom } from "../environments.js";
import type { Shader, ShaderArray } from "./shader.js";

/** By the names of the shader's arrays. */
export function startsOf(shader: Shader, seed: number): Record<string, View<ElementType, ArrayBuffer>> {
  const random = seededRandom(seed);
  return Object.fromEntries(Object.entries(shader.arrays).map(([name, array]) => [name, startOf(array, random)]));
}

function startOf({ type, length, start }: ShaderArray, random: () => number): View<ElementType, ArrayBuffer> {
  const stride = strideOf(type);
  const bytes = new ArrayBuffer(stride * length);
  const view = new DataView(bytes);
  const places = placesOf(type, 0);
  for (let element = 0; element < length; element++) {
    for (const { scalar, offset } of places) {
      const value = "all" in start ? start.all : Math.floor(random() * start.below);
      const at = element * stride + offset;
      if (scalar === "f32") view.setFloat32(at, value, true);
      else view.setInt32(at, value | 0, true);
    }
  }
  return viewOf(type, bytes, 0, length);
}

/** Where an element's numbers are; what lies between them is padding, which stays 0. */
function placesOf(
  type: ElementType | StructType["members"][string],
  at: number,
): { scalar: ScalarType; offset: number }[] {
  if (typeof type !== "string") {
    return Object.entries(type.members).flatMap(([name, member]) => placesOf(member, at + (type.offsets[name] ?? 0)));
  }
  const { scalar, columns, rows, columnStride } = layoutOf(type);
  return Array.from({ length: columns * rows }, (_, i) => {
    return { scalar, offset: at + Math.floor(i / rows) * columnStride + (i % rows) * 4 };
  });
}
