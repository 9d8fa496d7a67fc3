// SPDX-License-Identifier: Apache-2.0
/// Starting the other cores by INIT-SIPI-SIPI (SDM Vol. 3A 8.4.4), and their stacks.
#ifndef POLYVISOR_ARCH_SMP_H
#define POLYVISOR_ARCH_SMP_H

#include <stdint.h>

struct memmap;
struct core;

/// Gives a core its stacks, mapped with a guard under each.
void smp_make_stacks(struct memmap *map, struct core *core);
/// Starts cores[1] to cores[core_count - 1], each with a bounded wait; one that does not answer becomes PV_CORE_ABSENT.
/// trampoline: a free page below 1 MiB.
void smp_start_all(uint64_t trampoline);

#endif
