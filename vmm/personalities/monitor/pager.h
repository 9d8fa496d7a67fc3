// SPDX-License-Identifier: Apache-2.0
/// Counts the rows that text takes on a terminal. Pure.
#ifndef POLYVISOR_MONITOR_PAGER_H
#define POLYVISOR_MONITOR_PAGER_H

#include <stdbool.h>
#include <stddef.h>

struct pager {
    unsigned columns;
    unsigned page;   ///< rows to a page; 0: without end
    unsigned row;    ///< rows filled since the page began
    unsigned column; ///< characters in the row
};

/// How many of the characters still fit on the page: all of them, or as far as the line break that fills it.
size_t pager_take(struct pager *pager, const char *text, size_t size);
/// Whether the page is full.
bool pager_full(const struct pager *pager);
/// Makes room for so many rows more.
void pager_more(struct pager *pager, unsigned rows);

#endif
