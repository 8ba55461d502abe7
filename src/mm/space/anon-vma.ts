/**
 * Which anon_vma a VMA gets: with its first anonymous page that of a neighbour it could merge with, so that the two can
 * still become one, else a new one; over a fork one of its own, under the parent's, so that pages which only the child has
 * are not looked for in the parent.
 *
 * Counterpart: `__anon_vma_prepare`, `find_mergeable_anon_vma`, `anon_vma_compatible`, `anon_vma_fork`.
 */

import { type AnonVma, VM_ACCESS_FLAGS, VM_SOFTDIRTY, type Vma } from "./vma.js";

/** Gives the VMA a root for its pages; false when none can be had. */
export function prepareAnonVma(vma: Vma): boolean {
  if (vma.anonVma !== null) return true;
  const anonVma = mergeableAnonVma(vma) ?? vma.mm.machine.createAnonVma();
  if (anonVma === null) return false;
  vma.linkAnonVma(anonVma);
  vma.ownAnonVma(anonVma);
  return true;
}

/** Links the VMA of a child to all roots of its parent's VMA, and gives it one of its own; false when none can be had. */
export function forkAnonVma(child: Vma, parent: Vma): boolean {
  if (parent.anonVma === null) return true;
  for (const anonVma of parent.chain) {
    child.linkAnonVma(anonVma);
    // A root whose own VMAs are gone is used again, so that a line of forks does not grow the chain without bound.
    if (child.anonVma === null && anonVma.children < 2 && anonVma.activeVmas === 0) child.anonVma = anonVma;
  }
  if (child.anonVma !== null) {
    child.anonVma.activeVmas++;
    return true;
  }
  const own = child.mm.machine.createAnonVma(parent.anonVma);
  if (own === null) {
    child.unlinkAnonVmas();
    return false;
  }
  child.linkAnonVma(own);
  child.ownAnonVma(own);
  return true;
}

function mergeableAnonVma(vma: Vma): AnonVma | null {
  const { vmas } = vma.mm;
  const index = vmas.indexOf(vma);
  const next = vmas[index + 1];
  const previous = vmas[index - 1];
  return (
    (next !== undefined && areCompatible(vma, next) ? reusableAnonVma(next) : null) ??
    (previous !== undefined && areCompatible(previous, vma) ? reusableAnonVma(previous) : null)
  );
}

function areCompatible(lower: Vma, upper: Vma): boolean {
  return (
    lower.end === upper.start &&
    lower.home === upper.home &&
    lower.file === upper.file &&
    ((lower.flags ^ upper.flags) & ~(VM_ACCESS_FLAGS | VM_SOFTDIRTY)) === 0 &&
    upper.offset === lower.offset + (lower.end - lower.start)
  );
}

/** Only a root that the neighbour did not inherit over a fork is shared. */
function reusableAnonVma(vma: Vma): AnonVma | null {
  return vma.anonVma !== null && vma.chain.length === 1 ? vma.anonVma : null;
}
