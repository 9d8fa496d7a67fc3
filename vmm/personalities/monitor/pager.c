// SPDX-License-Identifier: Apache-2.0
#include "pager.h"

bool pager_full(const struct pager *pager)
{
    return pager->page != 0 && pager->row >= pager->page;
}

void pager_more(struct pager *pager, unsigned rows)
{
    pager->row = rows < pager->page ? pager->page - rows : 0;
}

size_t pager_take(struct pager *pager, const char *text, size_t size)
{
    size_t taken = 0;
    while (taken < size && !pager_full(pager)) {
        if (text[taken++] == '\n') {
            pager->row++;
            pager->column = 0;
        } else if (++pager->column > pager->columns) { // the terminal went on in the next row
            pager->row++;
            pager->column = 1;
        }
    }
    return taken;
}
