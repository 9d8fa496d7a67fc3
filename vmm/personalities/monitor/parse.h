// SPDX-License-Identifier: Apache-2.0
/// Reads what people write: sets of cores, times, vcpus. Pure.
#ifndef POLYVISOR_MONITOR_PARSE_H
#define POLYVISOR_MONITOR_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// "0-2,3": numbers below PV_MAX_CORES and ascending ranges, as in the configuration. False: it is something else.
bool parse_cores(const char *text, uint64_t *cores);

/// "500us", "2ms", "1s", to microseconds. False: it is something else, or does not fit.
bool parse_time(const char *text, uint64_t *us);

/// "tiny/0": *name_size is the length of the personality's name. False: it is something else.
bool parse_vcpu(const char *text, size_t *name_size, uint32_t *vcpu);

#endif
