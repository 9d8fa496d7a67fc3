// SPDX-License-Identifier: Apache-2.0
#ifndef POLYVISOR_MONITOR_TRACE_DUMP_H
#define POLYVISOR_MONITOR_TRACE_DUMP_H

#include <stdbool.h>
#include <stddef.h>

#include <polyvisor/trace.h>

#include "json.h"

/// Writes what is known of a core's tracing, into an open object.
void trace_dump_core(struct json *json, const struct pv_trace_core *core);

/// Prints the last recording of all cores, or all that their rings hold, as lines (trace_lines.h): first what the numbers mean,
/// then the events that there were when it was called.
void trace_dump(const struct pv_trace_core *cores, size_t count, bool all);

#endif
