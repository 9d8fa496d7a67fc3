// SPDX-License-Identifier: Apache-2.0
// Which virtio devices there are, and where (VIRTIO 1.2, 4.1.4).
#include "scribble.h"

#include <guests/processor.h>

enum { ADDRESS = 0xcf8, DATA = 0xcfc, DEVICES = 32, VENDOR_VIRTIO = 0x1af4, FIRST_TYPE = 0x1040 };
enum { COMMAND = 4, BAR = 0x10, CAPABILITIES = 0x34, CAP_VENDOR = 9, CAP_MSIX = 0x11, COMMAND_MEMORY_MASTER = 6 };
enum { CAP_COMMON = 1, CAP_NOTIFY = 2, CAP_ISR = 3, CAP_DEVICE = 4 };

struct function functions[FUNCTIONS];
uint32_t function_count;

static uint32_t config_read(uint32_t device, uint32_t offset)
{
    out32(ADDRESS, 0x80000000 | device << 11 | (offset & 0xfc));
    return in32(DATA);
}

static void config_write(uint32_t device, uint32_t offset, uint32_t value)
{
    out32(ADDRESS, 0x80000000 | device << 11 | (offset & 0xfc));
    out32(DATA, value);
}

static void look_at_capabilities(struct function *f)
{
    for (uint32_t at = config_read(f->device, CAPABILITIES) & 0xff; at != 0;) {
        const uint32_t header = config_read(f->device, at);
        const uint32_t offset = config_read(f->device, at + 8);
        uint32_t *const places[] = {
            [CAP_COMMON] = &f->common, [CAP_NOTIFY] = &f->notify, [CAP_ISR] = &f->isr, [CAP_DEVICE] = &f->config};
        if ((header & 0xff) == CAP_VENDOR && header >> 24 >= CAP_COMMON && header >> 24 <= CAP_DEVICE)
            *places[header >> 24] = offset;
        if ((header & 0xff) == CAP_VENDOR && header >> 24 == CAP_NOTIFY)
            f->notify_multiplier = config_read(f->device, at + 16);
        at = header >> 8 & 0xff;
    }
}

void pci_find(void)
{
    for (uint32_t device = 1; device < DEVICES && function_count < FUNCTIONS; device++) {
        const uint32_t identity = config_read(device, 0);
        if ((identity & 0xffff) != VENDOR_VIRTIO || identity >> 16 < FIRST_TYPE)
            continue;
        struct function *f = &functions[function_count++];
        f->device = device;
        f->type = (identity >> 16) - FIRST_TYPE;
        for (uint32_t i = 0; i < BARS; i++)
            f->bar[i] = config_read(device, BAR + 4 * i) & ~15u;
        look_at_capabilities(f);
        pci_command(f, COMMAND_MEMORY_MASTER);
    }
}

void pci_command(const struct function *function, uint16_t command)
{
    config_write(function->device, COMMAND, command);
}

void pci_restore(void)
{
    for (uint32_t i = 0; i < function_count; i++) {
        for (uint32_t bar = 0; bar < BARS; bar++)
            config_write(functions[i].device, BAR + 4 * bar, (uint32_t)functions[i].bar[bar]);
        pci_command(&functions[i], COMMAND_MEMORY_MASTER);
    }
}
