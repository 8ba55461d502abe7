/**
 * A home range: the run of host frames reserved for the pages of one mapping, so that an array that is wholly at home is
 * one contiguous stretch of memory. Frame `first + i` is the home of page `page + i` of one address space, and of no
 * other page: JavaScript cannot revoke a view. Reserving charges nothing; a frame is charged while it is used or retained.
 */
export interface HomeRange {
  readonly first: number;
  readonly pages: number;
  /** Page number whose home `first` is; -1 until the range is mapped. */
  page: number;
  /**
   * Of a preferred place: the frames that all such ranges share, and that `first` is one of. The pages lie there one after
   * another and begin again at the start, so that neighbours are side by side; each is anybody's while it is free.
   */
  readonly shared?: { readonly first: number; readonly pages: number };
}

/** The home frame of a page, or the one that it prefers; 0 when it has none. */
export function homeFrameOf(home: HomeRange | null, page: number): number {
  if (home === null) return 0;
  const frame = home.first + (page - home.page);
  const { shared } = home;
  return shared === undefined ? frame : shared.first + ((frame - shared.first) % shared.pages);
}
