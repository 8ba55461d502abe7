/** How much device memory an example takes when nobody says: a quarter of its data, so that paging has something to do. */

const largestPage = 64 * 1024;
const smallestPage = 4 * 1024;
/** Fewer, and one step hardly fits. */
const fewestPages = 16;

export interface Budget {
  readonly deviceMemory: number;
  readonly pageSize: number;
}

/** `asked` is what the command line says; what it does not say follows from the data. */
export function budgetFor(
  dataBytes: number,
  asked: { readonly deviceMemory: number | null; readonly pageSize: number | null },
): Budget {
  const wanted = asked.deviceMemory ?? Math.floor(dataBytes / 4);
  let pageSize = asked.pageSize ?? largestPage;
  while (asked.pageSize === null && pageSize > smallestPage && wanted / pageSize < fewestPages) pageSize /= 2;
  if (asked.deviceMemory !== null) return { deviceMemory: asked.deviceMemory, pageSize };
  return { deviceMemory: Math.max(Math.floor(wanted / pageSize), fewestPages) * pageSize, pageSize };
}
