// SPDX-License-Identifier: Apache-2.0
#ifndef POLYVISOR_BENCH_SAMPLES_H
#define POLYVISOR_BENCH_SAMPLES_H

#include <stdint.h>

/// Sorts samples, and prints their distribution with the median of the empty ones (the same measurement of nothing)
/// subtracted:
///   bench: op=null samples=1000 min=60 median=61 p99=61 max=400 empty=3
void samples_print(const char *op, uint32_t *samples, uint32_t *empty, uint32_t count);

#endif
