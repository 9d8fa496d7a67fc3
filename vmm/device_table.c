// SPDX-License-Identifier: Apache-2.0
/// A table of devices stands in its personality's pool, which writes to it all the time and may write anything. What the
/// monitor gets is a copy: as many rows as were announced, texts with an end and without control characters.
#include "vmm/device_table.h"

#include <polyvisor/abi.h>
#include <polyvisor/string.h>

#include "arch/x86/paging.h"
#include "vmm/debug_call.h"
#include "vmm/personality.h"

_Static_assert(sizeof(struct pv_device) % sizeof(uint64_t) == 0, "rows are aligned as the table is");

int64_t device_table_set(struct regs *regs, uint64_t offset, uint64_t count, uint64_t a2, uint64_t a3, uint64_t a4)
{
    (void)a2, (void)a3, (void)a4;
    struct personality *p = agent_of(regs)->personality;
    if (count > PV_MAX_DEVICES || offset % sizeof(uint64_t) != 0 || offset > p->pool_size ||
        count * sizeof(struct pv_device) > p->pool_size - offset) {
        return PV_ERR_INVALID;
    }
    lock_take(&p->lock);
    p->devices_at = offset;
    p->device_count = (uint32_t)count;
    lock_drop(&p->lock);
    return PV_OK;
}

void device_table_forget(struct personality *p)
{
    p->devices_at = 0;
    p->device_count = 0;
}

/// What may be shown of a text that can change meanwhile: each byte is looked at once.
static void copy_text(char *to, const char *from, size_t size)
{
    for (size_t i = 0; i + 1 < size; i++) {
        char c = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
        if (c == '\0') {
            break;
        }
        to[i] = c >= ' ' && c <= '~' ? c : '.';
    }
}

static void copy_row(struct pv_device *to, const struct pv_device *from)
{
    *to = (struct pv_device){
        .reads = __atomic_load_n(&from->reads, __ATOMIC_RELAXED),
        .writes = __atomic_load_n(&from->writes, __ATOMIC_RELAXED),
        .interrupts = __atomic_load_n(&from->interrupts, __ATOMIC_RELAXED),
        .bytes_in = __atomic_load_n(&from->bytes_in, __ATOMIC_RELAXED),
        .bytes_out = __atomic_load_n(&from->bytes_out, __ATOMIC_RELAXED),
    };
    copy_text(to->name, from->name, sizeof(to->name));
    copy_text(to->place, from->place, sizeof(to->place));
}

int64_t debug_list_devices(const struct debug_call *call)
{
    if (call->a1 >= personality_count) {
        return PV_ERR_NOT_FOUND;
    }
    struct personality *p = &personalities[call->a1];
    for (uint32_t i = 0;; i++) {
        struct pv_device row;
        lock_take(&p->lock); // it may be started anew, with another table or none
        uint32_t count = p->device_count;
        if (i < count) {
            const struct pv_device *table = phys_to_virt(p->memory + p->devices_at);
            copy_row(&row, &table[i]);
        }
        lock_drop(&p->lock);
        if (i >= count) {
            return i;
        }
        if (!debug_put_record(call, i, &row, sizeof(row))) {
            return PV_ERR_FAULT;
        }
    }
}
