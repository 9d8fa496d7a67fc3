// SPDX-License-Identifier: Apache-2.0
#include "vmm/symbols.h"

#include <stddef.h>

struct symbol {
    uint32_t offset; ///< from image_start
    uint32_t name;   ///< into the names behind the entries
};

extern const struct {
    uint32_t count;
    struct symbol entries[];
} symbol_table;
extern const uint8_t image_start[], text_end[];

const char *symbol_find(uint64_t address, uint64_t *offset)
{
    if (address < (uint64_t)image_start || address >= (uint64_t)text_end || symbol_table.count == 0) {
        return NULL;
    }
    uint32_t wanted = (uint32_t)(address - (uint64_t)image_start);
    uint32_t low = 0, high = symbol_table.count; // entries[low] <= wanted < entries[high]
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        *(symbol_table.entries[middle].offset <= wanted ? &low : &high) = middle;
    }
    *offset = wanted - symbol_table.entries[low].offset;
    return (const char *)(symbol_table.entries + symbol_table.count) + symbol_table.entries[low].name;
}
