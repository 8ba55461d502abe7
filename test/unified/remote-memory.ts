/**
 * A memory in front of a pager elsewhere, as other threads have it, for tests that look into the machine: both are in this
 * thread, and a port is between them. Kernels are functions, and devices drivers, all the same: both ends know them by a number.
 */

import assert from "node:assert/strict";
import type { DeviceDriver, DeviceKernelDescriptor, HostKernel } from "../../src/device/driver.js";
import type { Operation } from "../../src/unified/operation-queue.js";
import type { LocalPager } from "../../src/unified/local/local-pager.js";
import type { PagerKernel } from "../../src/unified/pager.js";
import { createChannel } from "../../src/unified/remote/channel.js";
import { Connection } from "../../src/unified/remote/connection.js";
import { RemotePager } from "../../src/unified/remote/remote-pager.js";
import { UnifiedMemory } from "../../src/unified/unified-memory.js";

class WithKernels extends RemotePager {
  readonly #kernels: HostKernel[];
  readonly #drivers: DeviceDriver[];

  constructor(connection: Connection, kernels: HostKernel[], drivers: DeviceDriver[]) {
    super(connection, async () => {});
    this.#kernels = kernels;
    this.#drivers = drivers;
  }

  override replaceDevice(device: DeviceDriver, operation: Operation): Promise<void> {
    const number = this.#drivers.push(device) - 1;
    return super.replaceDevice({ module: "test:devices", export: String(number) }, operation);
  }

  override createKernel(descriptor: DeviceKernelDescriptor): Promise<PagerKernel> {
    const { label, host } = descriptor;
    if (host === undefined) return super.createKernel(descriptor);
    const number = this.#kernels.push(host) - 1;
    return super.createKernel({ label, host, module: { module: "test:kernels", export: String(number) } });
  }
}

export async function openRemote(pager: LocalPager, debug: boolean): Promise<UnifiedMemory> {
  const { port1, port2 } = createChannel();
  const kernels: HostKernel[] = [];
  const drivers: DeviceDriver[] = [];
  pager.serve(port2, "tested", {
    destroy: () => pager.close(),
    replaceDevice: async (device, operation) => {
      const driver = drivers[Number(device.export)];
      assert.ok(driver !== undefined);
      await pager.replaceDevice(driver, operation);
    },
    findKernel: async (label, { export: number }) => {
      const host = kernels[Number(number)];
      assert.ok(host !== undefined);
      return { label, host };
    },
  });
  return new UnifiedMemory(new WithKernels(await Connection.open(port1), kernels, drivers), debug);
}
