// For programs that are run as they stand in the documentation: WebGPU where a browser has it.

import { gpu } from "./gpu.js";

Object.defineProperty(globalThis, "navigator", { value: { gpu }, configurable: true });
