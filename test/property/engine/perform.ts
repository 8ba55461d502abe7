/** What an action means for the world as it is by now. */

import { DMA_PIN, SHORT_REFERENCE } from "../../../src/mm/fault/gup.js";
import { PROT_NONE, PROT_READ } from "../../../src/mm/space/vma.js";
import type { Action, Kind } from "./actions.js";
import * as operations from "./operations/index.js";
import { READ_WRITE, type Target } from "./operations/index.js";
import type { SharedObject } from "./shared-object.js";
import type { Mapping, Space } from "./space.js";
import type { World } from "./world.js";

const MOST_SPACES = 3;
const MOST_MAPPINGS = 3;
const MOST_OBJECTS = 2;
const PROTECTIONS = [READ_WRITE, PROT_READ, READ_WRITE, PROT_NONE, READ_WRITE, PROT_READ, READ_WRITE, PROT_READ];

/** Actions on pages of a mapping. */
type OnPages = Exclude<Kind, keyof typeof ELSEWHERE>;

const ELSEWHERE = {
  map: mapSomewhere,
  mapObject: mapObjectSomewhere,
  evict: evictSome,
  emptyDevice: (world: World, { choice }: Action) => operations.emptyDevice(world, world.devices[choice & 1]),
  writeObject: writeSomeObject,
  storeThroughPin: storeThroughSomePin,
  release: releaseSomePin,
  unlock: (world: World) => {
    if (world.unlockPage()) world.did("unlock");
  },
  settle: () => {},
} satisfies Partial<Record<Kind, (world: World, action: Action) => void>>;

const ON_PAGES: Readonly<Record<OnPages, (world: World, target: Target, choice: number) => void>> = {
  unmap: (world, target) => operations.unmap(world, target),
  protect: (world, target, choice) => operations.protect(world, target, PROTECTIONS[choice]),
  giveUp: (world, target) => operations.giveUp(world, target),
  store: (world, target) => operations.store(world, target),
  load: (world, target) => operations.load(world, target),
  deviceStore: (world, target, choice) => operations.deviceStore(world, world.devices[choice & 1], target),
  deviceLoad: (world, target, choice) => operations.deviceLoad(world, world.devices[choice & 1], target),
  exclusive: (world, target, choice) => operations.accessExclusively(world, world.devices[choice & 1], target),
  toDevice: (world, target, choice) => operations.toDevice(world, world.devices[choice & 1], target),
  toHost: (world, target, choice) => operations.toHost(world, world.devices[choice & 1], target),
  pageOut: (world, target) => operations.pageOut(world, target),
  clearSoftDirty: (world, { space }) => operations.clearSoftDirty(world, space),
  pin: (world, target, choice) => operations.pin(world, target, (choice & 1) !== 0, referencesOf(choice)),
  tryPin: (world, target, choice) => operations.tryPin(world, target, (choice & 1) !== 0, referencesOf(choice)),
  pinLongTerm: (world, target, choice) => operations.pinForLong(world, target, (choice & 1) !== 0),
  lock: (world, { space, start }) => {
    if (world.lockPage(space, start)) world.did("lock");
  },
  fork: (world, { space }) => {
    if (livingSpaces(world).length < MOST_SPACES) operations.fork(world, space);
  },
  exit: (world, { space }, choice) => {
    // Seldom, or nothing would ever get far.
    if (choice < 2) operations.exit(world, space);
  },
};

export function perform(world: World, action: Action): void {
  const { kind } = action;
  if (isElsewhere(kind)) return ELSEWHERE[kind](world, action);
  const target = targetOf(world, action);
  if (target === undefined) mapSomewhere(world, action);
  else ON_PAGES[kind](world, target, action.choice);
}

function isElsewhere(kind: Kind): kind is keyof typeof ELSEWHERE {
  return kind in ELSEWHERE;
}

function referencesOf(choice: number): number {
  return (choice & 2) === 0 ? SHORT_REFERENCE : DMA_PIN;
}

function evictSome(world: World, { from, count, choice }: Action): void {
  const device = world.devices[choice & 1];
  const first = choice < 4 ? 0 : from % device.zone.frames;
  operations.evict(world, device, first, Math.min(count * 3, device.zone.frames - first));
}

function writeSomeObject(world: World, { which, from }: Action): void {
  const object = pick(world.objects, which);
  if (object !== undefined) operations.writeObject(world, object, from % object.cache.length);
}

function storeThroughSomePin(world: World, { which }: Action): void {
  const pin = pick(world.pins, which);
  if (pin !== undefined) operations.storeThroughPin(world, pin);
}

function releaseSomePin(world: World, { which, choice }: Action): void {
  const pin = pick(world.pins, which);
  if (pin === undefined) return;
  // Who held a page to write it may write it last before letting it go.
  if (choice >= 4) operations.storeThroughPin(world, pin);
  operations.release(world, pin, (choice & 1) !== 0);
}

/** A new mapping, in a new address space as long as there are few; now and then over another one. */
function mapSomewhere(world: World, action: Action): void {
  const space = spaceForMapping(world, action);
  if (space === undefined) return;
  operations.map(world, space, action.count, (action.choice & 6) !== 0, placeOver(world, space, action));
}

/** The same for an object, a new one or one that somebody maps already; half of them go with their last mapping. */
function mapObjectSomewhere(world: World, action: Action): void {
  const { which, from, count, choice } = action;
  const space = spaceForMapping(world, action);
  if (space === undefined) return;
  const inUse = world.objects.filter((object) => world.isInUse(object));
  const known = inUse.length < MOST_OBJECTS ? undefined : pick(inUse, which);
  const object: SharedObject = known ?? world.createObject(count + (from & 1), (choice & 1) !== 0);
  const first = from % object.cache.length;
  const pages = Math.min(count, object.cache.length - first);
  const part = { object, first, shared: (choice & 2) !== 0, release: (choice & 4) !== 0 };
  operations.mapObject(world, space, pages, part, placeOver(world, space, action));
}

function spaceForMapping(world: World, { which, choice }: Action): Space | undefined {
  const live = livingSpaces(world);
  if (mappingsOf(world).length >= MOST_MAPPINGS) return undefined;
  if (live.length === 0 || (live.length < MOST_SPACES && (choice & 1) !== 0)) world.createSpace();
  return pick(livingSpaces(world), which);
}

function placeOver(world: World, space: Space, { from, choice }: Action): number | null {
  const over = mappingsOf(world).find((mapping) => mapping.space === space);
  return choice === 7 && over !== undefined ? over.start + (from % over.pages) : null;
}

function livingSpaces(world: World): Space[] {
  return world.spaces.filter(({ alive }) => alive);
}

function mappingsOf(world: World): Mapping[] {
  return world.mappings.filter(({ space }) => space.alive);
}

/** All pages of some mapping, or some of them; at times one page more than it has. */
function targetOf(world: World, { which, from, count, choice }: Action): Target | undefined {
  const mapping = pick(mappingsOf(world), which);
  if (mapping === undefined) return undefined;
  const { space, start, pages } = mapping;
  if (count >= pages) return { space, start, end: start + pages };
  const first = start + (from % pages);
  const beyond = choice === 7 ? 1 : 0;
  return { space, start: first, end: Math.min(first + count, start + pages + beyond) };
}

function pick<T>(some: readonly T[], which: number): T | undefined {
  return some.length === 0 ? undefined : some[which % some.length];
}
