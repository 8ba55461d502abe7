/** Numbers of mappings, which each thread gives out by itself: the number of its port, and a count. */

/** Numbers that one thread has. */
const NUMBERS = 2 ** 32;

/** The number of a port's `count`-th mapping. */
export function mappingNumber(port: number, count: number): number {
  return port * NUMBERS + count;
}

export function portOf(number: number): number {
  return Math.floor(number / NUMBERS);
}
