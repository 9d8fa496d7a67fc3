// SPDX-License-Identifier: Apache-2.0
/*
 * Events as lines of text, for the serial line: few bytes an event, and each line can be told from whatever else the
 * console prints and is understood without the others. tools/tracefile.py reads them; docs/tracing.md has the format. Pure.
 */
#ifndef POLYVISOR_MONITOR_TRACE_LINES_H
#define POLYVISOR_MONITOR_TRACE_LINES_H

#include <stddef.h>
#include <stdint.h>

#include <polyvisor/trace.h>

#include "json.h"

enum { TRACE_LINE_MAX = 4096 };

/// A line that is being made.
struct trace_line {
    size_t used;
    char text[TRACE_LINE_MAX];
};

/// "@trace NUMBER WHAT": begins a line. Numbers count up from 1, so that a missing line is noticed.
void trace_line_begin(struct trace_line *line, uint64_t number, const char *what);
/// Adds text; what does not fit is left out, and then the line is left out by the reader.
void trace_line_text(struct trace_line *line, const char *text, size_t size);
/// A pv_sink that adds to a line (the context).
void trace_line_sink(void *context, const char *text, size_t size);
/// Adds a check sum and a line end.
void trace_line_end(struct trace_line *line);

/// Makes the whole line number `number`: as many of a core's events as fit, the first of which is event number `first`. Returns
/// how many these are, at least 1 if there are any.
size_t trace_line_events(struct trace_line *line, uint64_t number, uint32_t core, uint64_t first,
                         const struct pv_trace_event *events, size_t count);

#endif
