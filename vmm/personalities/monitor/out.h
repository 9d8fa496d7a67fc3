// SPDX-License-Identifier: Apache-2.0
/// What commands print: collected, counted in rows, and stopped with "--more--" when a page is full.
#ifndef POLYVISOR_MONITOR_OUT_H
#define POLYVISOR_MONITOR_OUT_H

#include <stdbool.h>
#include <stddef.h>

/// The terminal's size and whether to stop after each page; `set` changes them.
struct out_settings {
    bool pager;
    unsigned rows, columns;
};
extern struct out_settings out_settings;

/// Begins the output of a command. paged: a person reads it page by page, if the settings say so.
void out_begin(bool paged);
/// Prints; nothing more appears once the reader has pressed q.
void out(const char *format, ...) __attribute__((format(printf, 1, 2)));
/// The same as a pv_sink; the context is not used.
void out_sink(void *context, const char *text, size_t size);
/// Whether the reader pressed q: a long command can stop.
bool out_stopped(void);
/// Ends the output: what was collected is on its way to the terminal.
void out_end(void);

#endif
