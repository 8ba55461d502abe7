/** Operations that meet on the same page in one certain order: what random programs found, or would take long to find. */

import { test } from "node:test";
import { SHORT_REFERENCE } from "../../../src/mm/fault/gup.js";
import { PROT_READ, PROT_WRITE } from "../../../src/mm/space/vma.js";
import { letPromisesSettle, SimulatedEnvironment } from "../../simulation/simulated-environment.js";
import * as operations from "./operations/index.js";
import type { Target } from "./operations/index.js";
import { type DeviceSetup, World } from "./world.js";

const PAGES = 4;

interface Meeting {
  readonly world: World;
  readonly target: Target;
}

/** A mapping whose pages the CPU has written, and two devices. */
async function meeting(second: DeviceSetup["kind"], link: DeviceSetup["link"] = "late"): Promise<Meeting> {
  const environment = new SimulatedEnvironment({ seed: 1 });
  const device = { frames: 2 * PAGES, link };
  const world = await World.create(
    {
      devices: [
        { ...device, kind: "private" },
        { ...device, kind: second },
      ],
      hostPages: Infinity,
      swap: { slots: 2 * PAGES, link: "late" },
    },
    environment,
  );
  world.createSpace();
  operations.map(world, world.spaces[0], PAGES, true, null);
  await world.quiesce();
  const { space, start, pages } = world.mappings[0];
  const target = { space, start, end: start + pages };
  operations.store(world, target);
  await world.quiesce();
  return { world, target };
}

async function end({ world }: Meeting): Promise<void> {
  await world.quiesce();
  await world.tearDown((space) => operations.exit(world, space));
}

/** Begins an operation and lets it go as far as it can: a copy waits for the link. */
async function begin({ world }: Meeting, act: () => void): Promise<void> {
  act();
  await letPromisesSettle();
  world.check();
}

test("a device stores into its page again after the mapping was read-only for a while", async () => {
  const met = await meeting("private");
  const { world, target } = met;
  operations.toDevice(world, world.devices[0], target);
  await world.quiesce();
  operations.protect(world, target, PROT_READ);
  await world.quiesce();
  operations.protect(world, target, PROT_READ | PROT_WRITE);
  await world.quiesce();
  operations.deviceStore(world, world.devices[0], target);
  await end(met);
});

test("a store through a pin of a coherent page is kept, although the page was about to move", async () => {
  const met = await meeting("coherent", "early");
  const { world, target } = met;
  operations.toDevice(world, world.devices[1], target);
  await world.quiesce();
  operations.pin(world, target, true, SHORT_REFERENCE);
  await world.quiesce();
  const [pin] = target.space.pins;
  await begin(met, () => operations.toHost(world, world.devices[1], target));
  // If a copy is made, it has been made by now, and the migration is still under way.
  operations.storeThroughPin(world, pin);
  operations.release(world, pin, false);
  await end(met);
});

test("the same while the device is emptied", async () => {
  const met = await meeting("coherent", "early");
  const { world, target } = met;
  operations.toDevice(world, world.devices[1], target);
  await world.quiesce();
  operations.pin(world, target, true, SHORT_REFERENCE);
  await world.quiesce();
  const [pin] = target.space.pins;
  await begin(met, () => operations.evict(world, world.devices[1], 0, 2 * PAGES));
  operations.storeThroughPin(world, pin);
  operations.release(world, pin, false);
  await end(met);
});

test("a device's store is kept that comes while its page moves, to the host or to the device", async () => {
  const met = await meeting("private");
  const { world, target } = met;
  const [device] = world.devices;
  operations.deviceStore(world, device, target);
  await world.quiesce();
  await begin(met, () => operations.toDevice(world, device, target));
  await begin(met, () => operations.deviceStore(world, device, target));
  await world.quiesce();
  await begin(met, () => operations.toHost(world, device, target));
  await begin(met, () => operations.deviceStore(world, device, target));
  await end(met);
});

test("a device does not reach a page that was given up while it moved there", async () => {
  const met = await meeting("private");
  const { world, target } = met;
  await begin(met, () => operations.toDevice(world, world.devices[0], target));
  await begin(met, () => operations.giveUp(world, target));
  await world.quiesce();
  operations.deviceLoad(world, world.devices[0], target);
  await end(met);
});

test("pages whose mapping forbids every access are not entered in the table of the device that they move to", async () => {
  const met = await meeting("private");
  const { world, target } = met;
  operations.protect(world, target, 0);
  await world.quiesce();
  operations.toDevice(world, world.devices[0], target);
  await world.quiesce();
  operations.deviceLoad(world, world.devices[0], target);
  await end(met);
});

test("what a device saw of pages is looked at again when they have moved to it since", async () => {
  const met = await meeting("private");
  const { world, target } = met;
  const { space, start, end: last } = target;
  // The first page is on the host, the last one has to come from the other device: while it does, the first one moves.
  operations.toDevice(world, world.devices[1], { space, start: last - 1, end: last });
  await world.quiesce();
  await begin(met, () => operations.deviceStore(world, world.devices[0], target));
  await begin(met, () => operations.toDevice(world, world.devices[0], { space, start, end: start + 1 }));
  await end(met);
});

test("a home range goes back when its last page, which a fork had shared, moves to a device", async () => {
  const met = await meeting("private");
  const { world, target } = met;
  operations.fork(world, target.space);
  await world.quiesce();
  operations.exit(world, target.space);
  await world.quiesce();
  operations.toDevice(world, world.devices[0], { ...target, space: world.spaces[1] });
  await end(met);
});

test("a page that was given up is zeros, although its home frame keeps what a fork still has on a device", async () => {
  const met = await meeting("coherent");
  const { world, target } = met;
  operations.fork(world, target.space);
  await world.quiesce();
  operations.toDevice(world, world.devices[0], target);
  await world.quiesce();
  operations.giveUp(world, target);
  await world.quiesce();
  operations.accessExclusively(world, world.devices[0], target);
  await end(met);
});
