/**
 * The order of a root's VMAs: by offset, then in the order of linking. It can be observed: a walk ends at the last
 * mapping, and tells no notifier of the VMAs after it. Counterpart: `mm/interval_tree.c`.
 */

import type { Vma } from "./vma.js";

export function insertByOffset(vmas: Vma[], vma: Vma): void {
  let place = vmas.length;
  while (place > 0 && vmas[place - 1].offset > vma.offset) place--;
  vmas.splice(place, 0, vma);
}
