// Every scenario of the kernel's HMM tests has one of ours, under the same name.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";

const KERNEL = [
  "anon_read",
  "anon_read_multiple",
  "anon_read_prot",
  "anon_teardown",
  "anon_write",
  "anon_write_child",
  "anon_write_child_shared",
  "anon_write_huge",
  "anon_write_hugetlbfs",
  "anon_write_prot",
  "compound",
  "cow_in_device",
  "double_map",
  "exclusive",
  "exclusive_cow",
  "exclusive_mprotect",
  "file_read",
  "file_write",
  "gup",
  "migrate",
  "migrate_fault",
  "migrate_file_private",
  "migrate_mixed",
  "migrate_multiple",
  "migrate_release",
  "migrate_shared",
  "mixedmap",
  "open_close",
  "snapshot",
];

/** Those that came after 6.1. */
const LATER = [
  "migrate_anon_huge_empty",
  "migrate_anon_huge_err",
  "migrate_anon_huge_fault",
  "migrate_anon_huge_free",
  "migrate_anon_huge_zero",
  "migrate_partial_unmap_fault",
  "migrate_remap_fault",
];

test("the scenarios are those of the kernel", () => {
  const names = readdirSync(import.meta.dirname)
    .filter((file) => file.endsWith(".test.js"))
    .flatMap((file) => [...readFileSync(`${import.meta.dirname}/${file}`, "utf8").matchAll(/^scenario\("(\w+)"/gm)])
    .map(([, name]) => name);
  assert.deepEqual(names.toSorted(), [...KERNEL, ...LATER].toSorted());
  assert.equal(KERNEL.length, 29);
});
