// WebGPU in Node as libraries expect it in browsers: its constants as globals, `navigator.gpu`, and what three.js asks of a page.

import { create, globals } from "webgpu";

Object.assign(globalThis, globals);

/** Kept: the package crashes when it is collected. */
export const gpu = create([]);

Object.defineProperty(globalThis, "navigator", { value: { gpu, userAgent: "node" }, configurable: true });
globalThis.self ??= globalThis;
globalThis.requestAnimationFrame ??= (callback) => setTimeout(callback, 16);
globalThis.cancelAnimationFrame ??= clearTimeout;

/** What three.js takes for the canvas of a program that draws nothing. */
export const noCanvas = {
  width: 1,
  height: 1,
  style: {},
  addEventListener() {},
  removeEventListener() {},
  getContext: () => ({ configure() {}, unconfigure() {} }),
};
