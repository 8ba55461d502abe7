/** What is said where transparent access cannot be had, or cannot be had so, on every system. */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import { chooseMethod } from "../../src/access/transparent/linux/offer.js";
import { findKoffi, type Koffi, System } from "../../src/access/transparent/linux/system.js";
import { Userfaultfd } from "../../src/access/transparent/linux/userfaultfd.js";
import { createUnifiedMemory } from "../../src/index.js";
import { memoryError } from "../builders.js";
import { runProgram, skip } from "./setting.js";

const command = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));
const EPERM = 1;
const ENOSYS = 38;
const EBUSY = 16;
const UFFDIO_MOVE = 0xc028aa05;

/** A system of which every call fails but those that are given. */
function refusing(errno: number, calls: Readonly<Record<string, (...values: number[]) => number>> = {}): System {
  const koffi: Koffi = {
    load: () => ({
      func: (prototype) => {
        const [, name = ""] = /(\w+)\(/.exec(prototype) ?? [];
        return (...values) => calls[name]?.(...(values as number[])) ?? -1;
      },
    }),
    address: () => 0n,
    errno: () => errno,
    os: { errno: { EPERM, ENOSYS } },
    node: { poll: () => ({ close: () => {}, unref: () => {}, ref: () => {} }) },
  };
  return new System(koffi);
}

test("without the package, one line says what to install and what works without it", async () => {
  if (process.platform !== "linux") return;
  await assert.rejects(
    createUnifiedMemory({ cpuAccess: "transparent" }),
    memoryError("ENOTSUP", /needs the package koffi, which is not installed: npm install koffi@\d.*array\.pin/),
  );
  const broken = pathToFileURL("/nowhere/koffi.js").href;
  await assert.rejects(System.load(broken), memoryError("ENOTSUP", /koffi, which does not load .*npm install koffi@/));
});

test("on another system it says which", () => {
  const { platform } = process;
  try {
    Object.defineProperty(process, "platform", { value: "darwin" });
    assert.throws(findKoffi, memoryError("ENOTSUP", /needs Node on Linux, and this is darwin; .*array\.pin/));
  } finally {
    Object.defineProperty(process, "platform", { value: platform });
  }
});

test("where a descriptor is forbidden, the answer of each step of the ladder is named", () => {
  assert.throws(
    () => Userfaultfd.open(refusing(ENOSYS)),
    memoryError(
      "ENOTSUP",
      /system call: ENOSYS; \/dev\/userfaultfd: ENOSYS; user mode only: ENOSYS\): .*seccomp.*array\.pin/,
    ),
  );
});

test("on a kernel without what the methods need, it says what that is", () => {
  const old = refusing(EPERM, { syscall: () => 5, ioctl: () => 0, close: () => 0 });
  assert.throws(
    () => chooseMethod(Userfaultfd.open(old), 65_536),
    memoryError("ENOTSUP", /Linux 6\.8; .*6\.4; .*5\.7\)/),
  );
  assert.throws(
    () => chooseMethod(Userfaultfd.open(old), 65_536, "move"),
    memoryError("ENOTSUP", /\(UFFDIO_MOVE: Linux 6\.8\)/),
  );
});

test("a page that a system call holds is waited for, for seconds; then it says what that may be", () => {
  let slept = 0;
  let busy = 0;
  const system = refusing(EBUSY, {
    syscall: () => 5,
    usleep: (microseconds) => ((slept += microseconds), 0),
    ioctl: (_descriptor, request) => (request === UFFDIO_MOVE && busy-- > 0 ? -1 : 0),
  });
  const watch = Userfaultfd.open(system);
  busy = 3000;
  assert.equal(watch.move(8192, 4096, 4096), 4096);
  assert.ok(slept > 2e6 && slept < 5e6, `${slept} microseconds`);
  [slept, busy] = [0, Infinity];
  assert.throws(
    () => watch.move(8192, 4096, 4096),
    memoryError("EIO", /UFFDIO_MOVE: EBUSY: something has held memory of a view for 5 seconds, .*O_DIRECT/),
  );
  assert.ok(slept >= 5e6, `${slept} microseconds`);
});

test("options that do not go together are refused, and named", async () => {
  const refused = async (options: object, message: RegExp): Promise<void> =>
    assert.rejects(createUnifiedMemory(options), memoryError("EINVAL", message));
  await refused({ cpuAccess: "magic" }, /cpuAccess is "pinned" or "transparent", not "magic"/);
  await refused({ cpuAccess: "transparent", pager: "here" }, /needs pager: "worker"/);
  await refused({ cpuAccess: "transparent", shared: false }, /shared: true/);
  await refused({ transparent: {} }, /for cpuAccess: "transparent" alone/);
  await refused({ cpuAccess: "transparent", transparent: { method: "magic" } }, /method is one of move, minor, copy/);
  await refused({ cpuAccess: "transparent", transparent: { patience: 0 } }, /patience is a time/);
  await refused(
    { cpuAccess: "transparent", transparent: { patienec: 1 } },
    /an option of transparent is one of method, privilege, patience, not "patienec"/,
  );
});

test("a memory without transparent access has no views, and says so", async () => {
  for (const memory of [await createUnifiedMemory(), await createUnifiedMemory({ shared: true })]) {
    const array = memory.createArray("u8", 10);
    await assert.rejects(array.view(), memoryError("ENOTSUP", /cpuAccess: "transparent"/));
    await memory.destroy();
  }
});

test("pageferry info says what is in force, and fails where nothing is", { skip }, async () => {
  const { code, output } = await runProgram(command, ["info"]);
  assert.equal(code, 0);
  assert.match(output, /transparent access: in force, by \w+\n {2}privilege: .*\n {2}method move: /);
  const without = await new Promise<{ code: number | null; output: string }>((resolve) => {
    const child = execFile(process.execPath, [command, "info"], (_, text) =>
      resolve({ code: child.exitCode, output: text }),
    );
  });
  assert.equal(without.code, 1);
  assert.match(without.output, /not here\n.*npm install koffi@/);
});
