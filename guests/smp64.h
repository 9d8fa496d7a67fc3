// SPDX-License-Identifier: Apache-2.0
#ifndef POLYVISOR_GUESTS_SMP64_H
#define POLYVISOR_GUESTS_SMP64_H

#include "context.h"

enum { SMP64_CPUS = 2 };

/// One for each vcpu of a 64-bit guest.
extern struct context contexts[SMP64_CPUS];

#endif
