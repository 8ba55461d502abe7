/** The other byte order: the bytes of each element reversed in place. */

export function swapBytes(bytes: Uint8Array, stride: number): void {
  for (let at = 0; at + stride <= bytes.byteLength; at += stride) bytes.subarray(at, at + stride).reverse();
}
