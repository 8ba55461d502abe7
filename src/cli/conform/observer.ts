/**
 * Everything that the recorder could see of a process: the page map, and each device's view of every page. Looking
 * changes nothing.
 */

import {
  type AddressSpace,
  HMM_ERROR,
  HMM_FRAME_SHIFT,
  HMM_HUGE,
  HMM_VALID,
  HMM_WRITE,
  hmmSnapshot,
  isSwapEntry,
  MAPPING,
  MAPPING_ANON,
  MAPPING_KIND_SHIFT,
  FRAME_SHIFT,
  pteFrame,
  PTE_PRESENT,
  PTE_SOFT_DIRTY,
  PTE_UFFD_WP,
  vmaFlags,
  ZONE_COHERENT,
  ZONE_PRIVATE,
} from "../../mm/index.js";
import type { RecordedDevice } from "./recorded-device.js";
import type { Replay } from "./replay.js";
import { encodeRuns } from "./run-length.js";
import type { ProcessState } from "./trace-format.js";

/** Bits 55 to 63 of a word of the page map. */
const PM_SOFT_DIRTY = 0x001;
const PM_MAPPED_ONCE = 0x002;
const PM_UFFD_WP = 0x004;
const PM_FILE = 0x040;
const PM_SWAP = 0x080;
const PM_PRESENT = 0x100;

/** A device's view of a page: where it is, and what the device may do. */
const VIEW_ZERO_PAGE = 0x10;
const VIEW_OWN_PRIVATE = 0x20;
const VIEW_OWN_COHERENT = 0x40;
const VIEW_OTHER_COHERENT = 0x50;
const VIEW_READ = 1;
const VIEW_WRITE = 2;
const VIEW_HUGE = 4;
const VIEW_ERROR = 0xff;

const HEX2 = Array.from({ length: 0x100 }, (_, value) => value.toString(16).padStart(2, "0"));
const HEX3 = Array.from({ length: 0x200 }, (_, value) => value.toString(16).padStart(3, "0"));

/** The state of all living processes, by slot. */
export function observe(replay: Replay): ProcessState[] {
  const first = replay.firstPage;
  const end = first + replay.header.pages;
  const pfns = new Int32Array(replay.header.pages);
  const states: ProcessState[] = [];
  for (const process of replay.processes) {
    if (process === null) continue;
    const { mm, slot } = process;
    const devices = replay.devices.map((device) => viewThrough(mm, device, first, end, pfns));
    const pm = pageMapOf(mm, first, end);
    if (!replay.header.huge) states.push({ p: slot, pm, devices });
    else states.push({ p: slot, pm: encodeRuns(pm, 3), devices: devices.map((view) => encodeRuns(view, 2)) });
  }
  return states;
}

function pageMapOf(mm: AddressSpace, first: number, end: number): string {
  let text = "";
  for (let page = first; page < end; page++) text += HEX3[pageMapEntry(mm, page)];
  return text;
}

function pageMapEntry(mm: AddressSpace, page: number): number {
  const vma = mm.vmaAt(page);
  if (vma === undefined) return 0;
  const word = mm.pageTable.read(page);
  let flags = (vma.flags & vmaFlags.VM_SOFTDIRTY) === 0 ? 0 : PM_SOFT_DIRTY;
  if (word === 0) return flags;
  flags |= (word & PTE_PRESENT) === 0 ? PM_SWAP : PM_PRESENT;
  if ((word & PTE_SOFT_DIRTY) !== 0) flags |= PM_SOFT_DIRTY;
  if ((word & PTE_UFFD_WP) !== 0) flags |= PM_UFFD_WP;
  const frame = pteFrame(word);
  if (frame === 0 && mm.pageTable.huge(page) !== 0) return flags | PM_FILE;
  if (isSwapEntry(word) || frame === 0) return flags;
  const { frames } = mm.machine;
  if (frames.mapcount(frame) === 1) flags |= PM_MAPPED_ONCE;
  const kind = frames.words[(frame << FRAME_SHIFT) + MAPPING] & ((1 << MAPPING_KIND_SHIFT) - 1);
  if (kind !== MAPPING_ANON) flags |= PM_FILE;
  return flags;
}

function viewThrough(mm: AddressSpace, device: RecordedDevice, first: number, end: number, pfns: Int32Array): string {
  hmmSnapshot(mm, first, end, device, pfns);
  let text = "";
  for (let i = 0; i < end - first; i++) text += HEX2[viewOf(mm, device, pfns[i])];
  return text;
}

function viewOf(mm: AddressSpace, device: RecordedDevice, seen: number): number {
  if ((seen & HMM_ERROR) !== 0) return VIEW_ERROR;
  if ((seen & HMM_VALID) === 0) return 0;
  const permission = (seen & HMM_WRITE) === 0 ? VIEW_READ : VIEW_WRITE;
  const frame = seen >>> HMM_FRAME_SHIFT;
  if ((seen & HMM_HUGE) === 0) return whereIs(mm, device, frame) | permission;
  // The recorder knew the zero page by its frame, which the huge zero page does not have.
  return (frame === 0 ? 0 : whereIs(mm, device, frame)) | permission | VIEW_HUGE;
}

function whereIs(mm: AddressSpace, device: RecordedDevice, frame: number): number {
  if (frame === 0) return VIEW_ZERO_PAGE;
  const { kind, pageMap } = mm.machine.zones.of(frame);
  if (kind === ZONE_PRIVATE) return VIEW_OWN_PRIVATE;
  if (kind === ZONE_COHERENT) return pageMap?.owner === device ? VIEW_OWN_COHERENT : VIEW_OTHER_COHERENT;
  return 0;
}
