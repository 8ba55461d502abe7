/**
 * The page-table entry: what its word says, and how words of each kind are made. Its bits are drawn in `entry-bits.ts`.
 *
 * Counterpart: `arch/x86/include/asm/pgtable.h`, `include/linux/swapops.h`.
 */

import * as entryBits from "./entry-bits.js";

export * from "./entry-bits.js";

// A module's own constants become part of its code; imported and exported ones are looked up at every use.
const PTE_PRESENT = entryBits.PTE_PRESENT;
const PTE_YOUNG = entryBits.PTE_YOUNG;
const PTE_DIRTY = entryBits.PTE_DIRTY;
const PTE_MIGRATION = entryBits.PTE_MIGRATION;
const PTE_FRAME_SHIFT = entryBits.PTE_FRAME_SHIFT;

const KIND_MASK = PTE_YOUNG | PTE_DIRTY;
const SWAP = 0;
const DEVICE_PRIVATE = PTE_YOUNG;
const DEVICE_EXCLUSIVE = PTE_DIRTY;
const MARKER = KIND_MASK;
const KIND_OF_ABSENT = PTE_PRESENT | PTE_MIGRATION | KIND_MASK;

export function pteFrame(word: number): number {
  return word >>> PTE_FRAME_SHIFT;
}

export function isMigrationEntry(word: number): boolean {
  return (word & (PTE_PRESENT | PTE_MIGRATION)) === PTE_MIGRATION;
}

export function isDevicePrivateEntry(word: number): boolean {
  return (word & KIND_OF_ABSENT) === DEVICE_PRIVATE;
}

export function isDeviceExclusiveEntry(word: number): boolean {
  return (word & KIND_OF_ABSENT) === DEVICE_EXCLUSIVE;
}

export function isSwapEntry(word: number): boolean {
  return (word & KIND_OF_ABSENT) === SWAP && word !== 0;
}

/** The page's contents are lost (`PTE_MARKER_POISONED`). */
export function isPoisonMarker(word: number): boolean {
  return (word & KIND_OF_ABSENT) === MARKER;
}

/** A present entry of the zero page, which no process owns. */
export function isZeroPageEntry(word: number): boolean {
  return (word & PTE_PRESENT) !== 0 && word >>> PTE_FRAME_SHIFT === 0;
}

/** Does the entry refer to `frame` as a mapping of it: present, or private to a device? */
export function mapsFrame(word: number, frame: number): boolean {
  return word >>> PTE_FRAME_SHIFT === frame && ((word & PTE_PRESENT) !== 0 || isDevicePrivateEntry(word));
}

/** A device-private entry of `frame` with the given W, S, U and X bits. */
export function devicePrivateEntry(frame: number, bits: number): number {
  return (frame << PTE_FRAME_SHIFT) | DEVICE_PRIVATE | bits;
}

/** A swap entry of `slot` with the given S, U and X bits. */
export function swapEntry(slot: number, bits: number): number {
  return (slot << PTE_FRAME_SHIFT) | SWAP | bits;
}

/** A marker of lost contents with the given S and U bits. */
export function poisonMarker(bits: number): number {
  return MARKER | bits;
}

/** A device-exclusive entry of `frame` with the given W, S, U and X bits. */
export function deviceExclusiveEntry(frame: number, bits: number): number {
  return (frame << PTE_FRAME_SHIFT) | DEVICE_EXCLUSIVE | bits;
}
