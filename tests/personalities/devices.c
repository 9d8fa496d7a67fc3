// SPDX-License-Identifier: Apache-2.0
// A table of devices as an enemy of the shell would make it: texts without an end, control characters, numbers that change.
// Tables that are not in the pool, or too long, must be refused.
#include "personality.h"

PV_PERSONALITY(0);

enum { ROWS = 3 };

int main(const struct pv_info *info, uint32_t agent)
{
    struct pv_device *table = (struct pv_device *)PV_POOL_VA;
    const uint64_t last = info->pool_size - sizeof(*table);
    const struct {
        uint64_t offset, count;
    } wrong[] = {{0, PV_MAX_DEVICES + 1},
                 {0, UINT64_MAX},
                 {4, 1},
                 {info->pool_size, 1},
                 {last + sizeof(uint64_t), 1},
                 {last, 2},
                 {UINT64_MAX - 7, 1},
                 {UINT64_MAX / sizeof(*table) * 8, 1}};
    (void)agent;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        if (pv_syscall(PV_SYS_DEVICES, wrong[i].offset, wrong[i].count, 0, 0, 0) != PV_ERR_INVALID)
            pv_printf("devices: table %u was taken\n", (unsigned)i);
    memset(table, 0xff, ROWS * sizeof(*table));
    pv_strcopy(table[0].name, sizeof(table->name), "\033[2Jname\r\n");
    pv_strcopy(table[0].place, sizeof(table->place), "\"\\,{}%s");
    memset(table[1].name, 'x', sizeof(table->name));
    memset(table[1].place, 'y', sizeof(table->place));
    if (pv_devices(last, 1) != PV_OK || pv_devices(0, ROWS) != PV_OK)
        pv_printf("devices: a table was refused\n");
    pv_printf("devices: ready\n");
    for (uint32_t i = 0;; i++) {
        table[2].reads = i;
        table[2].name[i % sizeof(table->name)] = (char)i;
        if (i % 1000 == 0)
            pv_yield();
    }
}
