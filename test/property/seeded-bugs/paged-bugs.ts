/** Bugs that dispatches page by page can have, in the way of `bugs.ts`. Random kernels have to find them. */

import type { Bug } from "./bugs.js";

/** In what drives the rounds, and in the software device's own pages. */
const DRIVING: readonly Omit<Bug, "found">[] = [
  {
    name: "of units that wait, those before are forgotten when a window is cut",
    file: "unified/local/paged-dispatch.js",
    text: "waiting.set(this.#waiting, units.length);",
    replacement: ";",
  },
  {
    name: "units of a window that is cut run again with the next",
    file: "unified/local/paged-dispatch.js",
    text: "this.#waiting = this.#waiting.slice(list.length);",
    replacement: ";",
  },
  {
    name: "units that have run are tried again with those that wait",
    file: "unified/local/paged-dispatch.js",
    text: "units = { list: found.pending.slice() };",
    replacement: "units = window;",
  },
  {
    name: "a window never gets smaller",
    file: "unified/local/paged-window.js",
    text: "this.#units = units;",
    replacement: ";",
  },
  {
    name: "more pages are brought in than there are frames",
    file: "unified/local/paged-window.js",
    text: "if (here + missing <= frames)",
    replacement: "if (missing <= frames)",
  },
  {
    name: "a page that waiting units have used gives way to another",
    file: "unified/local/paged-pages.js",
    text: "hold(this.#held(needed));",
    replacement: "hold(new Int32Array(0)); residency.use(Int32Array.from(this.#held(null)).reverse());",
  },
  {
    name: "a page that a unit stores to does not count as written",
    file: "unified/local/paged-pages.js",
    text: "residency.grantWrite(operand.mapping.page + page - first, frames);",
    replacement: ";",
  },
  {
    name: "the retained copy of a page that a unit stores to stays valid",
    file: "unified/local/paged-pages.js",
    text: "residency.willWrite(frames);",
    replacement: ";",
  },
  {
    name: "a page that has been evicted stays where it was, for the kernel",
    file: "unified/local/paged-pages.js",
    text: "if (frame === MISSING)\n                this.#unmap(page);",
    replacement: "if (frame === MISSING) continue;",
  },
  {
    name: "a page that was brought in to be read may be written",
    file: "unified/local/paged-pages.js",
    text: "write || this.#writable[page + i] !== 0",
    replacement: "true",
  },
  {
    name: "what earlier rounds have used is not reported",
    file: "unified/local/paged-pages.js",
    text: "this.#ever[i] |= found.touched[i];",
    replacement: "this.#ever[i] = found.touched[i];",
  },
  {
    name: "a unit that misses a page leaves what it has stored",
    file: "device/wgsl/compiled/unit-pages.js",
    text: "this.#putBack();",
    replacement: ";",
  },
  {
    name: "what a unit has stored is put back first things first",
    file: "device/wgsl/compiled/unit-pages.js",
    text: "for (let n = this.#stored - 1; n >= 0; n--)",
    replacement: "for (let n = 0; n < this.#stored; n++)",
  },
  {
    name: "a unit stores to a page that is not writable",
    file: "device/wgsl/compiled/unit-pages.js",
    text: "if (this.#writable[page] !== 0)",
    replacement: "if (this.#frames[page] >= 0)",
  },
  {
    name: "a page that was missed before is not asked for again",
    file: "device/wgsl/compiled/unit-pages.js",
    text: "this.#missedAs[page] = 0;",
    replacement: ";",
  },
];

const ON_A_GPU: readonly Omit<Bug, "found">[] = [
  {
    name: "of the pages that have moved only the last ones are told to the GPU",
    file: "device/webgpu/paged/webgpu-paged-run.js",
    text: "if (first < this.#firstChanged)",
    replacement: "if (first >= 0)",
  },
  {
    name: "a round begins with what the one before has found",
    file: "device/webgpu/paged/webgpu-paged-run.js",
    text: "0, 4 * (layout.counters + words))",
    replacement: "0, 4 * layout.pages)",
  },
  {
    name: "a round has the pages that the one before had",
    file: "device/webgpu/paged/webgpu-paged-run.js",
    text: "buffers.tables, buffers.state, 0, 4 * (layout.counters + words))",
    replacement: "buffers.tables + 4 * layout.counters, buffers.state, 4 * layout.counters, 4 * words)",
  },
  {
    name: "units of a list are taken for the first ones",
    file: "device/webgpu/paged/webgpu-paged-run.js",
    text: ": units.list[slot]",
    replacement: ": slot",
  },
  {
    name: "every page on a GPU may be written",
    file: "device/webgpu/paged/webgpu-paged-run.js",
    text: "(writable ? WRITABLE_PAGE : 0)",
    replacement: "WRITABLE_PAGE",
  },
  {
    name: "a page that is to be written is not asked for where it can be read",
    file: "device/webgpu/paged/webgpu-paged-run.js",
    text: "let bits = missed[i] | writes[i];",
    replacement: "let bits = missed[i];",
  },
  {
    name: "a workgroup that misses a page is committed all the same",
    file: "device/wgsl/rewrite/paged/index.js",
    text: "if (workgroupUniformLoad(&${skip}) != 0u) { return; }",
    replacement: "_ = workgroupUniformLoad(&${skip});",
  },
  {
    name: "an invocation that misses a page stores what it has held back",
    file: "device/wgsl/rewrite/paged/index.js",
    text: "if (${MISSED}) { ${PENDING} return; } }`]",
    replacement: "if (${MISSED}) { ${PENDING} } }`]",
  },
  {
    name: "a page that a unit has found is not reported as used",
    file: "device/wgsl/rewrite/paged/accessors.js",
    text: '${bit("touched")}',
    replacement: "",
  },
  {
    name: "a page that cannot be written counts as found by who stores to it",
    file: "device/wgsl/rewrite/paged/accessors.js",
    text: "(!write || word >= 0x80000000u)",
    replacement: "true",
  },
];

export const pagedBugs: readonly Bug[] = [
  ...DRIVING.map((bug) => ({ ...bug, found: "random kernels" as const })),
  ...ON_A_GPU.map((bug) => ({ ...bug, found: "random kernels on a GPU" as const })),
];
