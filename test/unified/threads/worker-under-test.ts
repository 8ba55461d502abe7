/** The worker of the thread tests: connects to the port that it is given, and does what it is asked to with arrays. */

import { parentPort } from "node:worker_threads";
import { connect } from "../../../src/unified/remote/connect.js";
import type { ArrayHandle } from "../../../src/unified/array-handle.js";
import type { PagedArray } from "../../../src/unified/paged-array.js";
import type { Pin } from "../../../src/unified/pin.js";
import type { Port } from "../../../src/unified/pager.js";
import type { UnifiedMemory } from "../../../src/unified/unified-memory.js";
import { packThrown } from "../../../src/device/thrown.js";

export type Numbers = PagedArray<"u32", SharedArrayBuffer>;
type Handle = ArrayHandle<"u32">;

export type Order =
  | { readonly do: "connect"; readonly port: Port }
  | { readonly do: "read" | "sum"; readonly of: Handle; readonly start?: number; readonly length?: number }
  | { readonly do: "write"; readonly of: Handle; readonly start: number; readonly values: readonly number[] }
  | {
      readonly do: "pin";
      readonly of: Handle;
      readonly mode: "read" | "write";
      readonly start: number;
      readonly length: number;
    }
  | {
      readonly do: "try pin";
      readonly of: Handle;
      readonly mode: "read" | "write";
      readonly start: number;
      readonly length: number;
    }
  | { readonly do: "store"; readonly pin: number; readonly at: number; readonly value: number }
  | { readonly do: "release"; readonly pin: number }
  | { readonly do: "make"; readonly length: number; readonly value: number }
  | { readonly do: "destroy array"; readonly of: Handle }
  | { readonly do: "abort a read"; readonly of: Handle }
  | {
      readonly do: "dispatch";
      readonly of: Handle;
      readonly module: string;
      readonly export: string;
      readonly stopAt?: number;
    }
  | { readonly do: "leave" }
  | { readonly do: "exit" };

let memory: UnifiedMemory<SharedArrayBuffer> | null = null;
const pins: (Pin<"u32", SharedArrayBuffer> | null)[] = [];
const arrays = new Map<number, Numbers>();

function arrayOf(handle: Handle): Numbers {
  let array = arrays.get(handle.mapping.number);
  if (array === undefined) {
    array = (memory as UnifiedMemory<SharedArrayBuffer>).arrayFrom(handle);
    arrays.set(handle.mapping.number, array);
  }
  return array;
}

async function obey(order: Order): Promise<unknown> {
  if (order.do === "connect") {
    memory = await connect(order.port);
    return memory.stats.pageSize;
  }
  if (memory === null) throw new Error("not connected");
  switch (order.do) {
    case "read":
    case "sum": {
      const { start = 0, length } = order;
      const values = await arrayOf(order.of).read(length === undefined ? { start } : { start, length });
      return order.do === "read" ? values : values.reduce((total, value) => total + value, 0);
    }
    case "write":
      return arrayOf(order.of).write(Uint32Array.from(order.values), { start: order.start });
    case "pin":
      return pins.push(await arrayOf(order.of).pin(order.mode, { start: order.start, length: order.length })) - 1;
    case "try pin":
      // A handle that was never used has to be found first.
      await arrayOf(order.of).read({ length: 0 });
      return pins.push(arrayOf(order.of).tryPin(order.mode, { start: order.start, length: order.length })) - 1;
    case "store": {
      const pin = pins[order.pin];
      if (pin === null || pin === undefined) return false;
      pin.view[order.at] = order.value;
      return true;
    }
    case "release":
      return pins[order.pin]?.release();
    case "make": {
      const array = memory.createArray("u32", order.length, { label: "made in a worker" });
      arrays.set(array.handle.mapping.number, array);
      void array.fill(order.value);
      // Before any of it has happened.
      return array.handle;
    }
    case "destroy array":
      return arrayOf(order.of).destroy();
    case "abort a read": {
      const controller = new AbortController();
      const reading = arrayOf(order.of).read({ signal: controller.signal });
      controller.abort(new RangeError("the worker's own reason"));
      return reading;
    }
    case "dispatch": {
      const kernel = await memory.createKernel({
        label: "of a worker",
        host: { module: order.module, export: order.export },
        footprint: { x: { each: 1 } },
      });
      const array = arrayOf(order.of);
      const told: number[] = [];
      const report = await kernel.dispatch({
        invocations: array.length,
        arrays: { x: array },
        mode: "streamed",
        onProgress: ({ completed }) => {
          told.push(completed);
          if (order.stopAt !== undefined && completed >= order.stopAt) throw new RangeError("enough");
        },
      });
      return { report, told };
    }
    case "leave":
      return memory.destroy();
    case "exit":
      return process.exit(0);
    default:
      return order satisfies never;
  }
}

parentPort?.on("message", ({ number, order }: { number: number; order: Order }) => {
  obey(order).then(
    (answer) => parentPort?.postMessage({ number, answer }),
    (error: unknown) => parentPort?.postMessage({ number, thrown: packThrown(error) }),
  );
});
