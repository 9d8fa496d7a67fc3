// SPDX-License-Identifier: Apache-2.0
// Source: ACPI Specification 6.4, chapter 5.2; offsets in the tables are its own.
#include "devices/acpi_tables.h"

#include <polyvisor/string.h>

#include "devices/acpi_pm.h"
#include "devices/ioapic.h"

enum { RSDP_SIZE = 36, RSDP_V1_SIZE = 20, HEADER_SIZE = 36, FADT_SIZE = 276, FACS_SIZE = 64, ALIGNMENT = 64 };
enum { CHECKSUM = 9, RSDP_CHECKSUM = 8, RSDP_CHECKSUM2 = 32, SCI = 9, CENTURY = 0x32 };

/// Where tables are being written.
struct writer {
    uint8_t *memory;
    size_t size, used;
    uint64_t address;
    bool full;
};

static void put(uint8_t *table, size_t offset, uint32_t bytes, uint64_t value)
{
    for (uint32_t i = 0; i < bytes; i++)
        table[offset + i] = (uint8_t)(value >> 8 * i);
}

/// Room for a table, zeroed. NULL: there is none.
static uint8_t *reserve(struct writer *w, size_t size, uint64_t *address)
{
    const size_t start = (w->used + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (start > w->size || size > w->size - start) {
        w->full = true;
        return NULL;
    }
    w->used = start + size;
    *address = w->address + start;
    return memset(w->memory + start, 0, size);
}

static void set_checksum(uint8_t *table, size_t size, size_t at)
{
    uint8_t sum = 0;
    table[at] = 0;
    for (size_t i = 0; i < size; i++)
        sum = (uint8_t)(sum + table[i]);
    table[at] = (uint8_t)-sum;
}

static void set_header(uint8_t *table, const char *signature, size_t size, uint8_t revision)
{
    memcpy(table, signature, 4);
    put(table, 4, 4, size);
    table[8] = revision;
    memcpy(table + 10, "POLYVI", 6);
    memcpy(table + 16, "POLYVISR", 8);
    put(table, 24, 4, 1);
    memcpy(table + 28, "PLYV", 4);
    put(table, 32, 4, 1);
    set_checksum(table, size, CHECKSUM);
}

/// Generic address structure of a port range.
static void put_port(uint8_t *table, size_t offset, uint32_t bytes, uint16_t port)
{
    enum { SYSTEM_IO = 1 };
    table[offset] = SYSTEM_IO;
    table[offset + 1] = (uint8_t)(bytes * 8);
    table[offset + 3] = bytes == 1 ? 1 : bytes == 2 ? 2 : 3; // size of an access
    put(table, offset + 4, 8, port);
}

static uint64_t add_facs(struct writer *w)
{
    uint64_t address = 0;
    uint8_t *t = reserve(w, FACS_SIZE, &address);
    if (t != NULL) {
        memcpy(t, "FACS", 4);
        put(t, 4, 4, FACS_SIZE);
        t[32] = 2;
    }
    return address;
}

static uint64_t add_dsdt(struct writer *w, const struct acpi_machine *machine)
{
    uint64_t address = 0;
    uint8_t *t = reserve(w, machine->dsdt_size, &address);
    if (t != NULL)
        memcpy(t, machine->dsdt, machine->dsdt_size);
    return address;
}

static uint64_t add_fadt(struct writer *w, uint64_t facs, uint64_t dsdt)
{
    enum { LEGACY_DEVICES = 1, NO_VGA = 4 };
    enum {
        WBINVD = 1,
        C1 = 4,
        NO_POWER_BUTTON = 16,
        NO_SLEEP_BUTTON = 32,
        TIMER_32 = 256,
        RESET = 1024,
        HEADLESS = 4096
    };
    uint64_t address = 0;
    uint8_t *t = reserve(w, FADT_SIZE, &address);
    if (t == NULL)
        return 0;
    put(t, 36, 4, facs);
    put(t, 40, 4, dsdt);
    put(t, 46, 2, SCI);
    put(t, 56, 4, ACPI_PM_EVENT);
    put(t, 64, 4, ACPI_PM_CONTROL);
    put(t, 76, 4, ACPI_PM_TIMER);
    t[88] = 4; // lengths of the three
    t[89] = 2;
    t[91] = 4;
    put(t, 96, 2, 0xffff); // no C2, no C3
    put(t, 98, 2, 0xffff);
    t[108] = CENTURY;
    put(t, 109, 2, LEGACY_DEVICES | NO_VGA);
    put(t, 112, 4, WBINVD | C1 | NO_POWER_BUTTON | NO_SLEEP_BUTTON | TIMER_32 | RESET | HEADLESS);
    put_port(t, 116, 1, ACPI_RESET_PORT);
    t[128] = ACPI_RESET_VALUE;
    t[131] = 4; // 6.4
    put(t, 140, 8, dsdt);
    put_port(t, 148, 4, ACPI_PM_EVENT);
    put_port(t, 172, 2, ACPI_PM_CONTROL);
    put_port(t, 208, 4, ACPI_PM_TIMER);
    memcpy(t + 268, "Polyviso", 8);
    set_header(t, "FACP", FADT_SIZE, 6);
    return address;
}

/// MADT: local APICs, the I/O APIC, the timer's detour (interrupt 0 is input 2), the SCI's kind, NMI at LINT1.
static uint64_t add_madt(struct writer *w, uint32_t cpus)
{
    enum { LOCAL_SIZE = 8, IO_SIZE = 12, OVERRIDE_SIZE = 10, NMI_SIZE = 6, START = 44, PCAT = 1, HIGH_LEVEL = 0xd };
    const size_t size = START + cpus * LOCAL_SIZE + IO_SIZE + 2 * OVERRIDE_SIZE + NMI_SIZE;
    uint64_t address = 0;
    uint8_t *t = reserve(w, size, &address);
    if (t == NULL)
        return 0;
    put(t, 36, 4, LAPIC_ADDRESS);
    put(t, 40, 4, PCAT);
    uint8_t *e = t + START;
    for (uint32_t i = 0; i < cpus; i++, e += LOCAL_SIZE) {
        put(e, 0, 4, LOCAL_SIZE << 8 | i << 16 | i << 24); // type 0, processor number, id
        put(e, 4, 4, 1);                                   // enabled
    }
    put(e, 0, 4, 1 | IO_SIZE << 8 | cpus << 16);
    put(e, 4, 4, IOAPIC_ADDRESS);
    e += IO_SIZE;
    put(e, 0, 4, 2 | OVERRIDE_SIZE << 8);
    put(e, 4, 4, 2);
    e += OVERRIDE_SIZE;
    put(e, 0, 4, 2 | OVERRIDE_SIZE << 8 | (uint32_t)SCI << 24);
    put(e, 4, 4, SCI);
    put(e, 8, 2, HIGH_LEVEL);
    e += OVERRIDE_SIZE;
    put(e, 0, 4, 4 | NMI_SIZE << 8 | 0xff << 16); // every processor
    e[5] = 1;
    set_header(t, "APIC", size, 5);
    return address;
}

static uint64_t add_xsdt(struct writer *w, uint64_t fadt, uint64_t madt)
{
    uint64_t address = 0;
    uint8_t *t = reserve(w, HEADER_SIZE + 16, &address);
    if (t == NULL)
        return 0;
    put(t, HEADER_SIZE, 8, fadt);
    put(t, HEADER_SIZE + 8, 8, madt);
    set_header(t, "XSDT", HEADER_SIZE + 16, 1);
    return address;
}

size_t acpi_tables(const struct acpi_machine *machine, void *memory, size_t size, uint64_t address)
{
    struct writer w = {.memory = memory, .size = size, .address = address};
    uint64_t own;
    uint8_t *rsdp = reserve(&w, RSDP_SIZE, &own);
    const uint64_t facs = add_facs(&w), dsdt = add_dsdt(&w, machine), fadt = add_fadt(&w, facs, dsdt);
    const uint64_t xsdt = add_xsdt(&w, fadt, add_madt(&w, machine->cpus));
    if (w.full || rsdp == NULL)
        return 0;
    memcpy(rsdp, "RSD PTR ", 8);
    memcpy(rsdp + 9, "POLYVI", 6);
    rsdp[15] = 2;
    put(rsdp, 20, 4, RSDP_SIZE);
    put(rsdp, 24, 8, xsdt);
    set_checksum(rsdp, RSDP_V1_SIZE, RSDP_CHECKSUM);
    set_checksum(rsdp, RSDP_SIZE, RSDP_CHECKSUM2);
    return w.used;
}
