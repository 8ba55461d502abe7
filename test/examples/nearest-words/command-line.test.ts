import assert from "node:assert/strict";
import { test } from "node:test";
import { mirrorDevice } from "../../../src/device/mirror/index.js";
import { createUnifiedMemory } from "../../../src/index.js";
import { readCommandLine } from "../../../examples/nearest-words/command-line.js";

test("without arguments the package's vectors are searched through 32 MiB in pages of 64 KiB for 10 neighbours", () => {
  assert.deepEqual(readCommandLine([]), {
    help: false,
    json: false,
    data: { kind: "package" },
    words: [],
    k: 10,
    device: "auto",
    deviceMemory: 32 * 1024 ** 2,
    pageSize: 64 * 1024,
  });
});

test("words and options may be mixed", () => {
  const { words, k, json, deviceMemory, pageSize } = readCommandLine([
    "king",
    "--k",
    "3",
    "queen",
    "--json",
    "--device-memory=8MiB",
    "--page-size",
    "4KiB",
    "--",
    "--json",
  ]);
  assert.deepEqual(
    [words, k, json, deviceMemory, pageSize],
    [["king", "queen", "--json"], 3, true, 8 * 1024 ** 2, 4096],
  );
});

test("the data is the demo's, the user's own, or the package's", () => {
  assert.deepEqual(readCommandLine(["--demo"]).data, { kind: "demo" });
  assert.deepEqual(readCommandLine(["--vectors", "v.npy", "--words", "w.txt"]).data, {
    kind: "files",
    vectors: "v.npy",
    words: "w.txt",
  });
  assert.deepEqual(readCommandLine(["--vectors", "v.f32", "--words", "w.txt", "--dim", "50"]).data, {
    kind: "files",
    vectors: "v.f32",
    words: "w.txt",
    dimensions: 50,
  });
});

test("the page sizes that are accepted are those that the memory accepts", async () => {
  const outcome = async (pageSize: number): Promise<[boolean, boolean]> => {
    let accepted = true;
    try {
      readCommandLine(["--page-size", String(pageSize)]);
    } catch {
      accepted = false;
    }
    const device = mirrorDevice({ budget: 32 * 1024 ** 2 });
    const memory = await createUnifiedMemory({ device, pageSize }).catch(() => null);
    await memory?.destroy();
    return [accepted, memory !== null];
  };
  for (const pageSize of [4096, 8192, 2 * 1024 ** 2]) assert.deepEqual(await outcome(pageSize), [true, true]);
  for (const pageSize of [2048, 4095, 6144, 4 * 1024 ** 2]) assert.deepEqual(await outcome(pageSize), [false, false]);
});

const refusals: readonly (readonly [args: readonly string[], message: RegExp])[] = [
  [["--foo"], /^unknown option '--foo'$/],
  [["-x"], /^unknown option '-x'$/],
  [["--k"], /^option '--k <value>' argument missing$/],
  [["--device", "gpu"], /^--device "gpu" is not auto, webgpu or mirror$/],
  [["--k", "0"], /^--k "0" is not a whole number from 1 to 1000$/],
  [["--k", "1001"], /^--k "1001" is not a whole number from 1 to 1000$/],
  [["--k", "ten"], /^--k "ten" is not a whole number from 1 to 1000$/],
  [["--k", "1.5"], /^--k "1.5" is not a whole number from 1 to 1000$/],
  [["--demo=yes"], /^option '--demo' does not take an argument$/],
  [["--demo", "--vectors", "v", "--words", "w"], /^--demo and --vectors exclude each other$/],
  [["--words", "w"], /^--words FILE needs --vectors FILE$/],
  [["--dim", "3"], /^--dim N needs --vectors FILE$/],
  [["--vectors", "v"], /^--vectors FILE needs --words FILE$/],
  [["--vectors", "v", "--words", "w", "--dim", "0"], /^--dim 0 is not a whole number from 1 to 65536$/],
  [["--vectors", "v", "--words", "w", "--dim", "65537"], /^--dim 65537 is not a whole number from 1 to 65536$/],
  [["--vectors", "v", "--words", "w", "--dim", "a"], /^--dim "a" is not a whole number$/],
  [["--device-memory", "lots"], /^--device-memory "lots" is not a size/],
  [["--page-size", "64KB"], /^--page-size "64KB" is not a size/],
  [["--page-size", "16MiB"], /^--page-size 16MiB is not a power of two from 4 KiB to 2 MiB$/],
  [["--page-size", "2kib"], /^--page-size 2kib is not a power of two from 4 KiB to 2 MiB$/],
  [["--page-size", "1000"], /^--page-size 1000 is not a power of two from 4 KiB to 2 MiB$/],
];

for (const [args, message] of refusals) {
  test(`${args.join(" ")} is refused in one sentence`, () => {
    assert.throws(() => readCommandLine(args), { name: "JobFailure", code: "EINVAL", message });
  });
}
