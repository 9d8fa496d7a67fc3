// SPDX-License-Identifier: Apache-2.0
// Source: PCI Local Bus Specification 3.0, 6.8.2 and 6.8.3.
#include "devices/msix.h"

enum { CAP_ID_MSIX = 0x11, CAP_BODY = 10, CONTROL = 2, CONTROL_HIGH = 3 };
enum { HIGH_ENABLE = 0x80, HIGH_MASK = 0x40 }; // of the control word's second byte
enum { PENDING_OFFSET = 0x800 };
enum { ADDRESS_LOW, ADDRESS_HIGH, DATA, VECTOR_CONTROL, VECTOR_MASKED = 1 };

static uint8_t control(const struct msix *msix)
{
    return msix->function->config[msix->capability + CONTROL_HIGH];
}

bool msix_enabled(const struct msix *msix)
{
    return (control(msix) & HIGH_ENABLE) != 0;
}

static bool is_masked(const struct msix *msix, uint32_t vector)
{
    return (control(msix) & (HIGH_ENABLE | HIGH_MASK)) != HIGH_ENABLE || !pci_function_is_master(msix->function) ||
           (msix->entries[vector][VECTOR_CONTROL] & VECTOR_MASKED) != 0;
}

void msix_raise(struct msix *msix, uint32_t vector)
{
    if (vector >= msix->count)
        return;
    const uint32_t *entry = msix->entries[vector];
    if (is_masked(msix, vector)) {
        msix->pending |= UINT32_C(1) << vector;
        return;
    }
    msix->pending &= ~(UINT32_C(1) << vector);
    msix->send(msix->context, (uint64_t)entry[ADDRESS_HIGH] << 32 | entry[ADDRESS_LOW], entry[DATA]);
}

void msix_update(struct msix *msix)
{
    for (uint32_t i = 0; i < msix->count; i++)
        if ((msix->pending >> i & 1) != 0 && !is_masked(msix, i))
            msix_raise(msix, i);
}

/* ---- the table and the pending bits in memory: accesses of 4 or 8 bytes ---- */

static uint32_t read_word(const struct msix *msix, uint32_t offset)
{
    if (offset < msix->count * MSIX_ENTRY)
        return msix->entries[offset / MSIX_ENTRY][offset % MSIX_ENTRY / 4];
    return offset == PENDING_OFFSET ? msix->pending : 0;
}

static void write_word(struct msix *msix, uint32_t offset, uint32_t value)
{
    if (offset < msix->count * MSIX_ENTRY)
        msix->entries[offset / MSIX_ENTRY][offset % MSIX_ENTRY / 4] =
            offset % MSIX_ENTRY / 4 == VECTOR_CONTROL ? value & VECTOR_MASKED : value;
}

static uint64_t read_memory(void *context, uint32_t offset, uint32_t size)
{
    const struct msix *msix = context;
    if (size < 4 || offset % size != 0)
        return 0;
    const uint64_t low = read_word(msix, offset);
    return size == 4 ? low : low | (uint64_t)read_word(msix, offset + 4) << 32;
}

static void write_memory(void *context, uint32_t offset, uint32_t size, uint64_t value)
{
    struct msix *msix = context;
    if (size < 4 || offset % size != 0)
        return;
    write_word(msix, offset, (uint32_t)value);
    if (size == 8)
        write_word(msix, offset + 4, (uint32_t)(value >> 32));
    msix_update(msix);
}

void msix_init(struct msix *msix, struct pci_function *function, uint32_t bar, uint32_t count,
               void (*send)(void *context, uint64_t address, uint32_t data), void *context)
{
    *msix = (struct msix){.function = function, .send = send, .context = context, .count = count};
    for (uint32_t i = 0; i < count; i++)
        msix->entries[i][VECTOR_CONTROL] = VECTOR_MASKED;
    uint8_t body[CAP_BODY] = {0}, writable[CAP_BODY] = {0};
    body[CONTROL - PCI_CAP_HEADER] = (uint8_t)(count - 1);
    writable[CONTROL_HIGH - PCI_CAP_HEADER] = HIGH_ENABLE | HIGH_MASK;
    body[2] = (uint8_t)bar; // the table's bar, its offset is 0
    body[6] = (uint8_t)bar; // that of the pending bits
    body[7] = PENDING_OFFSET >> 8;
    msix->capability = pci_function_capability(function, CAP_ID_MSIX, body, writable, CAP_BODY);
    pci_function_bar(function, bar, (struct pci_bar){MSIX_BAR_SIZE, read_memory, write_memory, msix});
}
