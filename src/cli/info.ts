/** `pageferry info`: what of the system this process may use, and why not more. */

import { missingFor } from "../access/transparent/linux/offer.js";
import { findKoffi, System } from "../access/transparent/linux/system.js";
import { LADDER, type Privilege, Userfaultfd } from "../access/transparent/linux/userfaultfd.js";
import { MemoryError } from "../mm/errors.js";

const REMARKS: Readonly<Record<Privilege, string>> = {
  "system call": "everything works, system calls on pages that are elsewhere included",
  "/dev/userfaultfd": "everything works, system calls on pages that are elsewhere included",
  "user mode only":
    "system calls on pages that are elsewhere fail with EFAULT: touch them before, or prefetch them to the host; root, CAP_SYS_PTRACE, access to /dev/userfaultfd or vm.unprivileged_userfaultfd=1 would change that",
};

/** Prints it; 0 where views can be had, 1 where not. */
export async function infoCommand(out: (line: string) => void): Promise<number> {
  out(`pageferry on Node ${process.version}, ${process.platform} ${process.arch}`);
  try {
    const system = await System.load(findKoffi());
    const watch = Userfaultfd.open(system);
    try {
      report(watch, refusalsBefore(system, watch.privilege), out);
    } finally {
      watch.close();
    }
    return 0;
  } catch (error) {
    if (!(error instanceof MemoryError)) throw error;
    out(`transparent access: not here`);
    out(`  ${error.message}`);
    return 1;
  }
}

function report(watch: Userfaultfd, refusals: readonly string[], out: (line: string) => void): void {
  const missing = [...missingFor(watch)];
  const [taken] = missing.find(([, lacks]) => lacks === null) ?? ["none"];
  out(`transparent access: in force, by ${taken}`);
  for (const refusal of refusals) out(`  refused: ${refusal}`);
  out(`  privilege: ${watch.privilege}: ${REMARKS[watch.privilege]}`);
  for (const [method, lacks] of missing) {
    const is = method === taken ? "taken" : "can be asked for";
    out(`  method ${method}: ${lacks === null ? is : `the kernel lacks ${lacks}`}`);
  }
}

/** The steps that could do more than the one in force, and what they answer. */
function refusalsBefore(system: System, privilege: Privilege): string[] {
  const refusals: string[] = [];
  for (const step of LADDER) {
    if (step.privilege === privilege) return refusals;
    refusals.push(`${step.privilege}: ${step.open(system) < 0 ? system.errorName() : "now it is allowed"}`);
  }
  return refusals;
}
