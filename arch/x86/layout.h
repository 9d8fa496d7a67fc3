// SPDX-License-Identifier: Apache-2.0
/*
 * The upper half of every address space (docs/memory.md):
 *
 *   PHYSMAP_BASE    all RAM, read-write (the image's code and constants read-only), never executable
 *   STACKS_BASE     the cores' stacks, each under a guard
 *   DEVICES_BASE    device registers, uncached
 *   KERNEL_VMA      the image
 */
#ifndef POLYVISOR_ARCH_LAYOUT_H
#define POLYVISOR_ARCH_LAYOUT_H

#include <stdint.h>

enum { PAGE_SIZE = 4096, PAGE_SIZE_2M = 1 << 21, PAGE_SIZE_1G = 1 << 30 };

#define USER_TOP UINT64_C(0x0000800000000000)
#define PHYSMAP_BASE UINT64_C(0xffff800000000000)
#define PHYSMAP_SIZE UINT64_C(0x0000400000000000) // 64 TiB
#define STACKS_BASE UINT64_C(0xffffff0000000000)
#define DEVICES_BASE UINT64_C(0xffffff4000000000)
#define KERNEL_VMA UINT64_C(0xffffffff80000000)

/// A stack has STACK_SLOT bytes of address space, aligned to that; the lower half is the guard, not mapped.
/// The slot's last bytes are a struct stack_top, so that any stack pointer leads to its core.
enum { STACK_SLOT = 32768, STACK_SIZE = 16384 };

#endif
