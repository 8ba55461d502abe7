/**
 * What goes over a port between a thread and the pager: requests, each with an answer; notes without one. Everything here
 * can be cloned.
 *
 * A thread sends one request for its operations at a time. Its notes come in order with its requests.
 */

import type { SharedGrowth, SharedView } from "../../access/user-mode/shared-view.js";
import type { PinnedPages } from "../../access/host-pins.js";
import type { DispatchShape, PostableKernel } from "../../device/driver.js";
import type { ElementType } from "../../device/element.js";
import type { Thrown } from "../../device/thrown.js";
import type { Footprint } from "../footprint.js";
import type { DispatchMode, DispatchReport, Progress } from "../kernel.js";
import type { DeviceModule } from "../local/device-module.js";
import type { MapSourceOptions } from "../map-options.js";
import type { PinnedRange, Port, SharedMapping, WindowBytes } from "../pager.js";
import type { ResidentRange } from "../resident-range.js";
import type { Stats } from "../stats.js";

/** The version of these messages. */
export const PROTOCOL = "pageferry 1";

/** The first message, of the pager. */
export interface Welcome {
  readonly pageferry: typeof PROTOCOL;
  readonly identity: string;
  readonly port: number;
  readonly pageSize: number;
  readonly debug: boolean;
  /** Pages move in and out of this thread's sight by themselves: it pins none without the pager. */
  readonly isTransparent: boolean;
  readonly stats: Stats;
  readonly loss: LossMessage | null;
  readonly view: SharedView;
}

/** `PagerLoss`, with mappings by number. */
export interface LossMessage {
  readonly error: Thrown;
  readonly runs: ReadonlyMap<number, readonly number[]>;
}

export interface RemoteArray {
  readonly name: string;
  readonly label: string;
  readonly mapping: number;
  readonly type: ElementType;
  readonly length: number;
  readonly footprint: Footprint | null;
  readonly written: boolean;
}

/** What can be asked, by name: what is given, and the answer. Mappings, kernels and pins are numbers. */
export interface Requests {
  reserve: { given: { shared: SharedMapping; pages: number }; answer: void };
  snapshot: { given: { shared: SharedMapping; pages: number; of: number }; answer: void };
  /** Opens a source and says how many elements it has; `map` maps it. */
  mapSource: {
    given: { shared: SharedMapping; source: Blob | string; isUrl: boolean; options: MapSourceOptions };
    answer: { length: number; pages: number };
  };
  map: { given: { mapping: number }; answer: void };
  found: { given: { shared: SharedMapping; pages: number }; answer: void };
  unmap: { given: { mapping: number }; answer: void };
  read: { given: { mapping: number; at: number; length: number }; answer: Uint8Array };
  write: { given: { mapping: number; at: number; bytes: Uint8Array }; answer: void };
  pin: { given: { mapping: number; range: PinnedRange; pin: number }; answer: PinnedPages };
  prefetch: { given: { mapping: number; to: "device" | "host"; first: number; end: number }; answer: void };
  residency: { given: { mapping: number; perPage: number; length: number }; answer: ResidentRange[] };
  writtenRuns: { given: { mapping: number }; answer: number[] };
  clearWritten: { given: { mapping: number }; answer: void };
  window: { given: { mapping: number }; answer: WindowBytes };
  createKernel: { given: { kernel: number; label: string; code: PostableKernel }; answer: void };
  dispatch: {
    given: {
      kernel: number;
      invocations: number;
      shape: DispatchShape;
      arrays: readonly RemoteArray[];
      uniforms: Record<string, unknown>;
      mode: "auto" | DispatchMode;
      reportsProgress: boolean;
    };
    answer: DispatchReport;
  };
  stats: { given: null; answer: Stats };
  openPort: { given: { name: string }; answer: { port: Port; number: number } };
  closePort: { given: { number: number; terminated: boolean }; answer: void };
  /** Of the thread that owns the memory. */
  replaceDevice: { given: { device: DeviceModule }; answer: void };
  destroy: { given: null; answer: void };
}

export type Request = {
  [Name in keyof Requests]: { readonly request: number; readonly ask: Name; readonly given: Requests[Name]["given"] };
}[keyof Requests];

/** From the thread. */
export type Note =
  | { readonly note: "abort"; readonly of: number }
  | { readonly note: "unpin"; readonly pin: number }
  | { readonly note: "mark written"; readonly mapping: number; readonly first: number; readonly end: number }
  /** The ring of last puts is not empty; `owed` are those that found it full. */
  | { readonly note: "collect"; readonly owed: readonly number[] }
  /** The thread has let go what it held, and holds nothing any more. */
  | { readonly note: "leave" };

/** From the pager. */
export type Reply =
  | {
      readonly request: number;
      readonly answer: unknown;
      readonly stats: Stats;
      /** What was added to the machine since the last answer. */
      readonly growth: SharedGrowth | null;
    }
  | { readonly request: number; readonly thrown: Thrown }
  | { readonly request: number; readonly progress: Progress }
  /** The device is lost; null: there is another one. */
  | { readonly loss: LossMessage | null }
  /** The pager serves this port no more. */
  | { readonly ended: Thrown };
