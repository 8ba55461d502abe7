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
}

/** The home frame of a page, 0 when it has none. */
export function homeFrameOf(home: HomeRange | null, page: number): number {
  return home === null ? 0 : home.first + (page - home.page);
}
