/** What a VMA allows and is, and what a caller may ask for. Counterpart: `include/linux/mm.h`, `include/uapi/asm-generic/mman-common.h`. */

export const VM_READ = 0x1;
export const VM_WRITE = 0x2;
export const VM_EXEC = 0x4;
export const VM_SHARED = 0x8;
/** The program handles faults on missing pages, or on pages that it protected (`userfault.ts`). */
export const VM_UFFD_MISSING = 0x200;
export const VM_UFFD_WP = 0x1000;
export const VM_UFFD_FLAGS = VM_UFFD_MISSING | VM_UFFD_WP;
export const VM_PFNMAP = 0x400;
export const VM_IO = 0x4000;
export const VM_DONTEXPAND = 0x40000;
export const VM_HUGETLB = 0x400000;
export const VM_SOFTDIRTY = 0x8000000;
export const VM_MIXEDMAP = 0x10000000;
export const VM_HUGEPAGE = 0x20000000;
export const VM_NOHUGEPAGE = 0x40000000;

export const VM_ACCESS_FLAGS = VM_READ | VM_WRITE | VM_EXEC;
/** Mappings that no protocol may touch. */
export const VM_SPECIAL = VM_IO | VM_DONTEXPAND | VM_PFNMAP | VM_MIXEDMAP;

export const PROT_NONE = 0;
export const PROT_READ = 1;
export const PROT_WRITE = 2;
export const PROT_EXEC = 4;
