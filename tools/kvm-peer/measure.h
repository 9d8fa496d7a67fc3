// SPDX-License-Identifier: Apache-2.0
/// The measurements. docs/experiments.md says what each is. They print what the bench personality prints, so that
/// tools/bench reads it, behind a name in brackets, as Polyvisor's console has it.
#ifndef POLYVISOR_PEER_MEASURE_H
#define POLYVISOR_PEER_MEASURE_H

#include <stdint.h>

/// Exits of one VM, and switches that a client makes by calling KVM_RUN for another vcpu.
void measure_operations(uint32_t samples);

/// A process for each of `vms` VMs, time-shared by Linux's scheduler under a policy (sched(7)) for so many milliseconds:
/// when their guests were away. `name`: of the VMs, which get a number each.
void measure_slices(const char *name, uint32_t vms, uint32_t milliseconds, int policy);

#endif
