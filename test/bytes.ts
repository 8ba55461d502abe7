/** Bytes of whatever holds some, and whether two hold the same. */

export function bytesOf(held: ArrayBufferView | ArrayBufferLike): Uint8Array {
  return ArrayBuffer.isView(held)
    ? new Uint8Array(held.buffer, held.byteOffset, held.byteLength)
    : new Uint8Array(held);
}

export function sameBytes(left: ArrayBufferView | ArrayBufferLike, right: ArrayBufferView | ArrayBufferLike): boolean {
  const a = bytesOf(left);
  const b = bytesOf(right);
  if (a.length !== b.length) return false;
  let i = 0;
  // Words first: pages are compared after every operation.
  if (a.byteOffset % 4 === 0 && b.byteOffset % 4 === 0) {
    const wordsOfA = new Uint32Array(a.buffer, a.byteOffset, a.length >>> 2);
    const wordsOfB = new Uint32Array(b.buffer, b.byteOffset, b.length >>> 2);
    for (let word = 0; word < wordsOfA.length; word++) if (wordsOfA[word] !== wordsOfB[word]) return false;
    i = wordsOfA.length * 4;
  }
  for (; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** One after the other, in a buffer of their own. */
export function joined(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((total, { length }) => total + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
