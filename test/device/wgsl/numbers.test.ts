// WGSL's operators and functions of numbers, against values computed in other ways: integers as BigInt, floats in doubles.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { evaluate, type Scalar } from "./run-wgsl.js";
import { setting } from "../../setting.js";

const f = Math.fround;
const I32_EDGES = [0, 1, -1, 2, -2, 7, 31, 32, 33, 255, 65535, 65536, -65537, 2147483647, -2147483647, -2147483648];
const U32_EDGES = [0, 1, 2, 7, 31, 32, 33, 63, 255, 65535, 65536, 2147483647, 2147483648, 4294967294, 4294967295];
const F32_EDGES = [
  0,
  -0,
  1,
  -1,
  0.5,
  -0.5,
  1.5,
  2.5,
  -2.5,
  3.75,
  1e-45,
  -1e-45,
  1.1754943508222875e-38,
  16777216,
  16777217,
  8388607.5,
  2147483520,
  2147483648,
  -2147483648,
  -2147483904,
  4294967040,
  4294967296,
  3.4028234663852886e38,
  -3.4028234663852886e38,
  Infinity,
  -Infinity,
  NaN,
].map(f);
const EDGES: Record<Scalar, readonly number[]> = { f32: F32_EDGES, i32: I32_EDGES, u32: U32_EDGES };

const ANY: Record<Scalar, fc.Arbitrary<number>> = {
  f32: fc.oneof(
    fc.float(),
    fc.integer({ min: -1000, max: 1000 }).map((x) => f(x / 8)),
  ),
  i32: fc.oneof(fc.integer(), fc.integer({ min: -40, max: 40 })),
  u32: fc.oneof(fc.nat(0xffffffff), fc.nat(40)),
};

/** A failure says which seed it had; SEED=… has it again. */
const seed = Number(setting("SEED") ?? Date.now() % 1e9);

/** All edges with each other, for up to two operands, and seeded values. */
function rowsOf(types: readonly Scalar[]): number[][] {
  const random = fc.sample(fc.tuple(...types.map((type) => ANY[type])), { seed, numRuns: 400 });
  const [first = "f32", second] = types;
  const edges =
    second === undefined
      ? EDGES[first].map((x) => [x])
      : EDGES[first].flatMap((x) =>
          EDGES[second].map((y) => [x, y, ...types.slice(2).map((type) => EDGES[type][3] ?? 0)]),
        );
  return [...edges, ...random];
}

interface Case {
  readonly expression: string;
  readonly types: readonly Scalar[];
  readonly result: Scalar | "bool";
  readonly truth: (...values: number[]) => number | boolean;
  /** Of what is compared to a double: units in the last place of an f32. */
  readonly ulps?: number;
}

function check({ expression, types, result, truth, ulps = 0 }: Case): void {
  const rows = rowsOf(types);
  const found = evaluate(expression, types, result, rows);
  rows.forEach((row, i) => {
    const expected = Number(truth(...row));
    const at = `${expression} of ${row.join(", ")}, seed ${seed}`;
    if (ulps === 0 || !Number.isFinite(f(expected))) {
      assert.ok(
        Object.is(found[i], expected) || (found[i] === 0 && expected === 0 && result !== "f32"),
        `${at}: ${found[i]}, not ${expected}`,
      );
      return;
    }
    const unit = Math.max(2 ** (Math.floor(Math.log2(Math.abs(expected) || 1e-45)) - 23), 2 ** -149);
    assert.ok(Math.abs((found[i] ?? NaN) - expected) <= ulps * unit, `${at}: ${found[i]}, not about ${expected}`);
  });
}

const zeroLike = (x: number): number => (x < 0 || Object.is(x, -0) ? -0 : 0);
const signed = (x: bigint): number => Number(BigInt.asIntN(32, x));
const unsigned = (x: bigint): number => Number(BigInt.asUintN(32, x));
/** A sum, product or quotient of f32 rounded once: doubles have more than twice the digits. */
const single = new Float32Array(1);
const rounded = (x: number): number => {
  single[0] = x;
  return single[0] ?? NaN;
};

test("operators of i32 and u32 wrap around, and divide as WGSL says", () => {
  const exact: Record<string, (a: bigint, b: bigint) => bigint> = {
    "+": (a, b) => a + b,
    "-": (a, b) => a - b,
    "*": (a, b) => a * b,
    "/": (a, b) => (b === 0n ? a : a / b),
    "%": (a, b) => (b === 0n ? 0n : a % b),
    "&": (a, b) => a & b,
    "|": (a, b) => a | b,
    "^": (a, b) => a ^ b,
  };
  for (const [operator, truth] of Object.entries(exact)) {
    for (const [type, wrap] of [
      ["i32", signed],
      ["u32", unsigned],
    ] as const) {
      check({
        expression: `a ${operator} b`,
        types: [type, type],
        result: type,
        truth: (a, b) => wrap(truth(BigInt(a), BigInt(b))),
      });
    }
  }
});

test("integers are divided by constants as by variables", () => {
  for (const divisor of [1, 2, 3, 4, 7, 10, 64, 1000, 65536, 2147483647]) {
    for (const [operator, type] of [
      ["/", "i32"],
      ["%", "i32"],
      ["/", "u32"],
      ["%", "u32"],
    ] as const) {
      const literal = type === "i32" ? `${divisor}i` : `${divisor}u`;
      const truth = (a: number): number =>
        Number(operator === "/" ? BigInt(a) / BigInt(divisor) : BigInt(a) % BigInt(divisor));
      check({ expression: `a ${operator} ${literal}`, types: [type], result: type, truth });
    }
  }
});

test("shifts take the count modulo 32", () => {
  check({
    expression: "a << b",
    types: ["i32", "u32"],
    result: "i32",
    truth: (a, b) => signed(BigInt(a) << BigInt(b % 32)),
  });
  check({
    expression: "a << b",
    types: ["u32", "u32"],
    result: "u32",
    truth: (a, b) => unsigned(BigInt(a) << BigInt(b % 32)),
  });
  check({
    expression: "a >> b",
    types: ["i32", "u32"],
    result: "i32",
    truth: (a, b) => signed(BigInt(a) >> BigInt(b % 32)),
  });
  check({
    expression: "a >> b",
    types: ["u32", "u32"],
    result: "u32",
    truth: (a, b) => unsigned(BigInt(a) >> BigInt(b % 32)),
  });
});

test("unary operators", () => {
  check({ expression: "-a", types: ["i32"], result: "i32", truth: (a) => signed(-BigInt(a)) });
  check({ expression: "-a", types: ["f32"], result: "f32", truth: (a) => -a });
  check({ expression: "~a", types: ["i32"], result: "i32", truth: (a) => signed(-1n - BigInt(a)) });
  check({ expression: "~a", types: ["u32"], result: "u32", truth: (a) => 4294967295 - a });
  check({ expression: "!(a == 0)", types: ["i32"], result: "bool", truth: (a) => a !== 0 });
});

test("f32 is rounded after every operation", () => {
  check({ expression: "a + b", types: ["f32", "f32"], result: "f32", truth: (a, b) => rounded(a + b) });
  check({ expression: "a - b", types: ["f32", "f32"], result: "f32", truth: (a, b) => rounded(a - b) });
  check({ expression: "a * b", types: ["f32", "f32"], result: "f32", truth: (a, b) => rounded(a * b) });
  check({ expression: "a / b", types: ["f32", "f32"], result: "f32", truth: (a, b) => rounded(a / b) });
  check({ expression: "a % b", types: ["f32", "f32"], result: "f32", truth: (a, b) => rounded(a % b) });
  check({
    expression: "a * b + c - a",
    types: ["f32", "f32", "f32"],
    result: "f32",
    truth: (a, b, c) => rounded(rounded(rounded(a * b) + c) - a),
  });
});

test("comparisons, with NaN and both zeros", () => {
  const truths: Record<string, (a: number, b: number) => boolean> = {
    "==": (a, b) => a === b,
    "!=": (a, b) => a !== b,
    "<": (a, b) => a < b,
    "<=": (a, b) => a <= b,
    ">": (a, b) => a > b,
    ">=": (a, b) => a >= b,
  };
  for (const [operator, truth] of Object.entries(truths)) {
    for (const type of ["f32", "i32", "u32"] as const) {
      check({ expression: `a ${operator} b`, types: [type, type], result: "bool", truth });
    }
  }
  check({ expression: "a < 3 && b > 3", types: ["i32", "i32"], result: "bool", truth: (a, b) => a < 3 && b > 3 });
  check({ expression: "a < 3 || b > 3", types: ["i32", "i32"], result: "bool", truth: (a, b) => a < 3 || b > 3 });
  check({ expression: "(a < 3) & (b > 3)", types: ["i32", "i32"], result: "bool", truth: (a, b) => a < 3 && b > 3 });
  check({ expression: "(a < 3) | (b > 3)", types: ["i32", "i32"], result: "bool", truth: (a, b) => a < 3 || b > 3 });
  check({ expression: "(a < 3) == (b > 3)", types: ["i32", "i32"], result: "bool", truth: (a, b) => a < 3 === b > 3 });
});

test("conversions saturate from floats, and keep the bits between integers", () => {
  const toward = (x: number, low: number, high: number): number => {
    if (Number.isNaN(x)) return 0;
    const whole = x === Infinity ? high : x === -Infinity ? low : Number(BigInt(Math.trunc(x)));
    return Math.max(low, Math.min(high, whole));
  };
  check({ expression: "i32(a)", types: ["f32"], result: "i32", truth: (a) => toward(a, -2147483648, 2147483647) });
  check({ expression: "u32(a)", types: ["f32"], result: "u32", truth: (a) => toward(a, 0, 4294967295) });
  check({ expression: "i32(a)", types: ["u32"], result: "i32", truth: (a) => signed(BigInt(a)) });
  check({ expression: "u32(a)", types: ["i32"], result: "u32", truth: (a) => unsigned(BigInt(a)) });
  check({ expression: "f32(a)", types: ["i32"], result: "f32", truth: rounded });
  check({ expression: "f32(a)", types: ["u32"], result: "f32", truth: rounded });
  check({ expression: "bool(a)", types: ["f32"], result: "bool", truth: (a) => a !== 0 });
  check({ expression: "f32(a > 1)", types: ["i32"], result: "f32", truth: (a) => (a > 1 ? 1 : 0) });
  const bytes = new DataView(new ArrayBuffer(4));
  check({
    expression: "bitcast<f32>(a)",
    types: ["u32"],
    result: "f32",
    truth: (a) => {
      bytes.setUint32(0, a);
      return bytes.getFloat32(0);
    },
  });
  check({
    expression: "select(bitcast<u32>(a), 0u, a != a)",
    types: ["f32"],
    result: "u32",
    truth: (a) => {
      bytes.setFloat32(0, a);
      return Number.isNaN(a) ? 0 : bytes.getUint32(0);
    },
  });
  check({ expression: "bitcast<i32>(a)", types: ["u32"], result: "i32", truth: (a) => signed(BigInt(a)) });
});

const bits = (x: number): string => unsigned(BigInt(x)).toString(2).padStart(32, "0");
const backwards = (text: string): string => Array.from(text).toReversed().join("");
const ofBits = (text: string): number => Number.parseInt(text, 2);

test("functions of integers, by their binary digits", () => {
  for (const [type, wrap] of [
    ["i32", signed],
    ["u32", unsigned],
  ] as const) {
    const one = (name: string, truth: (a: number) => number): void =>
      check({ expression: `${name}(a)`, types: [type], result: type, truth: (a) => wrap(BigInt(truth(a))) });
    one("abs", (a) => (a < 0 ? -a : a));
    one("countOneBits", (a) => bits(a).replaceAll("0", "").length);
    one("countLeadingZeros", (a) => (bits(a) + "1").indexOf("1"));
    one("countTrailingZeros", (a) => (backwards(bits(a)) + "1").indexOf("1"));
    one("reverseBits", (a) => ofBits(backwards(bits(a))));
    one("firstTrailingBit", (a) => backwards(bits(a)).indexOf("1"));
    one("firstLeadingBit", (a) => {
      const at = bits(a).indexOf(type === "i32" && a < 0 ? "0" : "1");
      return at < 0 ? -1 : 31 - at;
    });
    check({ expression: "min(a, b)", types: [type, type], result: type, truth: (a, b) => (a < b ? a : b) });
    check({ expression: "max(a, b)", types: [type, type], result: type, truth: (a, b) => (a < b ? b : a) });
    check({
      expression: "clamp(a, b, c)",
      types: [type, type, type],
      result: type,
      truth: (a, b, c) => {
        const above = a > b ? a : b;
        return above < c ? above : c;
      },
    });
    check({
      expression: "extractBits(a, b, c)",
      types: [type, "u32", "u32"],
      result: type,
      truth: (a, offset, count) => {
        const from = Math.min(offset, 32);
        const many = Math.min(count, 32 - from);
        if (many === 0) return 0;
        const field = bits(a).slice(32 - from - many, 32 - from);
        return type === "i32" && field.startsWith("1") ? ofBits(field) - 2 ** many : ofBits(field);
      },
    });
    check({
      expression: "insertBits(a, b, c, 5u)",
      types: [type, type, "u32"],
      result: type,
      truth: (a, inserted, offset) => {
        const from = Math.min(offset, 32);
        const many = Math.min(5, 32 - from);
        const text =
          bits(a).slice(0, 32 - from - many) + bits(inserted).slice(32 - many, 32) + bits(a).slice(32 - from);
        return wrap(BigInt(ofBits(text)));
      },
    });
  }
  check({ expression: "sign(a)", types: ["i32"], result: "i32", truth: (a) => (a > 0 ? 1 : a < 0 ? -1 : 0) });
});

test("functions of one f32 that are exact", () => {
  const one = (name: string, truth: (a: number) => number): void =>
    check({ expression: `${name}(a)`, types: ["f32"], result: "f32", truth });
  one("abs", (a) => (Object.is(a, -0) || a < 0 ? -a : a));
  one("ceil", Math.ceil);
  one("floor", Math.floor);
  one("trunc", Math.trunc);
  one("sign", (a) => (a > 0 ? 1 : a < 0 ? -1 : a));
  one("saturate", (a) => (a > 1 ? 1 : a <= 0 ? 0 : a));
  one("fract", (a) => rounded(a - Math.floor(a)));
  one("round", (a) => {
    if (!Number.isFinite(a) || Math.abs(a) >= 2 ** 23) return a;
    const [low, high] = [Math.floor(a), Math.ceil(a)];
    if (a - low !== high - a) return a - low < high - a ? low || zeroLike(a) : high || zeroLike(a);
    return (low % 2 === 0 ? low : high) || zeroLike(a);
  });
  one("sqrt", (a) => rounded(Math.sqrt(a)));
});

test("functions of f32 that JavaScript has, to the last place", () => {
  const one = (name: string, truth: (a: number) => number): void =>
    check({ expression: `${name}(a)`, types: ["f32"], result: "f32", truth: (a) => rounded(truth(a)), ulps: 1 });
  for (const name of [
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atanh",
    "cos",
    "cosh",
    "exp",
    "log",
    "log2",
    "sin",
    "sinh",
    "tan",
    "tanh",
  ] as const)
    one(name, Math[name]);
  one("exp2", (a) => 2 ** a);
  one("inverseSqrt", (a) => 1 / Math.sqrt(a));
  one("degrees", (a) => (a / Math.PI) * 180);
  one("radians", (a) => (a / 180) * Math.PI);
  check({ expression: "pow(a, b)", types: ["f32", "f32"], result: "f32", truth: (a, b) => rounded(a ** b), ulps: 1 });
  check({
    expression: "atan2(a, b)",
    types: ["f32", "f32"],
    result: "f32",
    truth: (a, b) => rounded(Math.atan2(a, b)),
    ulps: 1,
  });
});

test("functions of several f32", () => {
  check({ expression: "step(a, b)", types: ["f32", "f32"], result: "f32", truth: (a, b) => (b >= a ? 1 : 0) });
  check({ expression: "min(a, b)", types: ["f32", "f32"], result: "f32", truth: (a, b) => Math.min(a, b) });
  check({ expression: "max(a, b)", types: ["f32", "f32"], result: "f32", truth: (a, b) => Math.max(a, b) });
  check({
    expression: "clamp(a, -2.0, b)",
    types: ["f32", "f32"],
    result: "f32",
    truth: (a, b) => Math.min(Math.max(a, -2), b),
  });
  check({
    expression: "fma(a, b, c)",
    types: ["f32", "f32", "f32"],
    result: "f32",
    truth: (a, b, c) => rounded(a * b + c),
  });
  check({
    expression: "mix(a, b, c)",
    types: ["f32", "f32", "f32"],
    result: "f32",
    truth: (a, b, c) => rounded(rounded(a * rounded(1 - c)) + rounded(b * c)),
  });
  check({
    expression: "ldexp(a, b)",
    types: ["f32", "i32"],
    result: "f32",
    truth: (a, b) => {
      const capped = Math.max(-400, Math.min(400, b));
      return rounded(a * 2 ** capped);
    },
  });
  check({
    expression: "smoothstep(0.0, 1.0, a)",
    types: ["f32"],
    result: "f32",
    truth: (a) => {
      const t = a >= 1 ? 1 : a <= 0 ? 0 : a;
      return rounded(rounded(t * t) * rounded(3 - rounded(2 * t)));
    },
  });
  check({
    expression: "quantizeToF16(a)",
    types: ["f32"],
    result: "f32",
    truth: (a) => nearestF16(a),
  });
});

/** By search among all numbers of 16 bits. */
function nearestF16(x: number): number {
  if (!Number.isFinite(x) || x === 0) return x;
  if (Math.abs(x) >= 65520) return Math.sign(x) * Infinity;
  const valueOf = (code: number): number => {
    const exponent = code >> 10;
    return exponent === 0 ? (code & 1023) * 2 ** -24 : (1 + (code & 1023) / 1024) * 2 ** (exponent - 15);
  };
  let low = 0;
  let high = 0x7bff;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (valueOf(middle) <= Math.abs(x)) low = middle;
    else high = middle - 1;
  }
  const below = Math.abs(x) - valueOf(low);
  const above = (low === 0x7bff ? 65536 : valueOf(low + 1)) - Math.abs(x);
  const up = above < below || (above === below && low % 2 === 1);
  return Math.sign(x) * valueOf(up ? low + 1 : low);
}
