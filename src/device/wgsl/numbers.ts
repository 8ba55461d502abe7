/**
 * WGSL's functions of numbers, for constants when a kernel is compiled and for kernels when they run. Floating-point ones
 * are as exact as JavaScript has them: whoever calls them rounds to f32.
 */

const fround = Math.fround;

const FLOAT = new Float32Array(1);
const BITS = new Uint32Array(FLOAT.buffer);
const SIGNED_BITS = new Int32Array(FLOAT.buffer);

export function divideI32(a: number, b: number): number {
  return b === 0 ? a : (a / b) | 0;
}

export function divideU32(a: number, b: number): number {
  return b === 0 ? a : (a / b) >>> 0;
}

/** Saturates, as WGSL's conversion does; what it leaves open for NaN is 0. */
export function floatToI32(x: number): number {
  if (x >= 2147483648) return 2147483647;
  return x <= -2147483648 ? -2147483648 : x | 0;
}

export function floatToU32(x: number): number {
  if (x >= 4294967296) return 4294967295;
  return x > 0 ? x >>> 0 : 0;
}

export function floatBitsToU32(x: number): number {
  FLOAT[0] = x;
  return BITS[0];
}

export function floatBitsToI32(x: number): number {
  FLOAT[0] = x;
  return SIGNED_BITS[0];
}

export function bitsToFloat(bits: number): number {
  BITS[0] = bits;
  return FLOAT[0];
}

/** To the nearest; of two as near, to the even one. */
export function roundEven(x: number): number {
  const below = Math.floor(x);
  const rest = x - below;
  if (rest === 0) return x;
  const up = rest > 0.5 || (rest === 0.5 && below % 2 !== 0);
  const rounded = up ? below + 1 : below;
  return rounded === 0 && x < 0 ? -0 : rounded;
}

export function saturate(x: number): number {
  return Math.min(Math.max(x, 0), 1);
}

export function clamp(x: number, low: number, high: number): number {
  return Math.min(Math.max(x, low), high);
}

export function fract(x: number): number {
  return x - Math.floor(x);
}

export function exp2(x: number): number {
  return 2 ** x;
}

export function inverseSqrt(x: number): number {
  return 1 / Math.sqrt(x);
}

export function degrees(x: number): number {
  return x * (180 / Math.PI);
}

export function radians(x: number): number {
  return x * (Math.PI / 180);
}

export function step(edge: number, x: number): number {
  return edge <= x ? 1 : 0;
}

export function fma(a: number, b: number, c: number): number {
  return a * b + c;
}

export function mix(a: number, b: number, part: number): number {
  return fround(a * fround(1 - part)) + fround(b * part);
}

export function smoothstep(low: number, high: number, x: number): number {
  const t = saturate(fround(fround(x - low) / fround(high - low)));
  return fround(t * t) * fround(3 - fround(2 * t));
}

export function ldexp(x: number, exponent: number): number {
  // Beyond 400 all of f32 is 0 or infinite, and 0 has to stay 0.
  return x * 2 ** Math.max(-400, Math.min(exponent, 400));
}

/** To the nearest f16, ties to even; what f16 cannot hold is infinite. */
export function quantizeToF16(x: number): number {
  if (!Number.isFinite(x) || x === 0) return x;
  const exponent = Math.max(Math.floor(Math.log2(Math.abs(x))), -14);
  const unit = 2 ** (exponent - 10);
  const rounded = roundEven(x / unit) * unit;
  return Math.abs(rounded) > 65504 ? Math.sign(x) * Infinity : rounded;
}

export function absI32(x: number): number {
  return Math.abs(x) | 0;
}

export function countLeadingZeros(x: number): number {
  return Math.clz32(x);
}

export function countTrailingZeros(x: number): number {
  return x === 0 ? 32 : 31 - Math.clz32(x & -x);
}

export function countOneBits(x: number): number {
  let count = 0;
  for (let rest = x; rest !== 0; rest &= rest - 1) count++;
  return count;
}

export function reverseBits(x: number): number {
  let reversed = 0;
  for (let i = 0; i < 32; i++) reversed |= ((x >>> i) & 1) << (31 - i);
  return reversed;
}

/** -1 where there is none: for u32 the caller makes all ones of it. */
export function firstLeadingBitU32(x: number): number {
  return 31 - Math.clz32(x);
}

export function firstLeadingBitI32(x: number): number {
  return 31 - Math.clz32(x < 0 ? ~x : x);
}

export function firstTrailingBit(x: number): number {
  return x === 0 ? -1 : countTrailingZeros(x);
}

export function extractBitsU32(x: number, offset: number, count: number): number {
  const from = Math.min(offset, 32);
  const bits = Math.min(count, 32 - from);
  return bits === 0 ? 0 : (x << (32 - bits - from)) >>> (32 - bits);
}

export function extractBitsI32(x: number, offset: number, count: number): number {
  const from = Math.min(offset, 32);
  const bits = Math.min(count, 32 - from);
  return bits === 0 ? 0 : (x << (32 - bits - from)) >> (32 - bits);
}

export function insertBits(x: number, inserted: number, offset: number, count: number): number {
  const from = Math.min(offset, 32);
  const bits = Math.min(count, 32 - from);
  if (bits === 0) return x;
  const mask = (0xffffffff >>> (32 - bits)) << from;
  return (x & ~mask) | ((inserted << from) & mask);
}

/** What generated code may call, by the names that it uses. */
export const NUMBERS = {
  divideI32,
  divideU32,
  floatToI32,
  floatToU32,
  floatBitsToU32,
  floatBitsToI32,
  bitsToFloat,
  roundEven,
  saturate,
  clamp,
  fract,
  exp2,
  inverseSqrt,
  degrees,
  radians,
  step,
  fma,
  mix,
  smoothstep,
  ldexp,
  quantizeToF16,
  absI32,
  countLeadingZeros,
  countTrailingZeros,
  countOneBits,
  reverseBits,
  firstLeadingBitU32,
  firstLeadingBitI32,
  firstTrailingBit,
  extractBitsU32,
  extractBitsI32,
  insertBits,
  imul: Math.imul,
  fround: Math.fround,
  abs: Math.abs,
  acos: Math.acos,
  acosh: Math.acosh,
  asin: Math.asin,
  asinh: Math.asinh,
  atan: Math.atan,
  atan2: Math.atan2,
  atanh: Math.atanh,
  ceil: Math.ceil,
  cos: Math.cos,
  cosh: Math.cosh,
  exp: Math.exp,
  floor: Math.floor,
  log: Math.log,
  log2: Math.log2,
  max: Math.max,
  min: Math.min,
  pow: Math.pow,
  sign: Math.sign,
  sin: Math.sin,
  sinh: Math.sinh,
  sqrt: Math.sqrt,
  tan: Math.tan,
  tanh: Math.tanh,
  trunc: Math.trunc,
} as const;

export type NumberFunction = keyof typeof NUMBERS;
