// SPDX-License-Identifier: Apache-2.0
/// What this personality tells: rounds and errors, now and then and whenever a line (an Enter suffices) is typed.
#ifndef POLYVISOR_TINY_REPORT_H
#define POLYVISOR_TINY_REPORT_H

#include "options.h"
#include "personality.h"

/// The first line.
void report_start(const struct pv_info *info, const struct options *options);

/// Prints when it is time to; only agent 0 calls it, often.
void report_poll(const struct pv_info *info, const struct options *options, uint64_t now);

/// Whether every vcpu has played the rounds that the arguments ask for. Ends the personality then, with 0 when there was
/// no error.
void report_end_when_done(const struct pv_info *info, const struct options *options);

#endif
