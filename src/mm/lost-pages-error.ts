/** What an access to lost contents is told. Of the engine: it speaks of page numbers, and who knows the array names it. */

import { MemoryError } from "./errors.js";
import type { AddressSpace } from "./space/address-space.js";
import { isPoisonMarker } from "./table/entry.js";

/** Pages `[first, end)` of the address space have lost what they held. */
export class LostPagesError extends MemoryError {
  override readonly name = "LostPagesError";

  constructor(
    readonly first: number,
    readonly end: number,
  ) {
    super("EIO", `pages ${first} to ${end} were only on a device that is lost`);
  }

  /** The error of an access that met the marker at `page`: as many neighbours as are lost, too. */
  static at({ pageTable }: AddressSpace, page: number): LostPagesError {
    let end = page + 1;
    while (isPoisonMarker(pageTable.read(end))) end++;
    return new LostPagesError(page, end);
  }
}
