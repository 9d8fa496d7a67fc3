// SPDX-License-Identifier: Apache-2.0
#include "arch/x86/acpi.h"

#include <polyvisor/format.h>
#include <polyvisor/string.h>

/* Offsets in tables, ACPI 6.5 sections 5.2.5 to 5.2.12 */
enum {
    RSDP_SIZE_1 = 20,
    RSDP_REVISION = 15,
    RSDP_RSDT = 16,
    RSDP_XSDT = 24,
    RSDP_SIZE_2 = 36,
    HEADER_SIZE = 36,
    HEADER_LENGTH = 4,
    TABLE_MAX = 1 << 20,
    FADT_DSDT = 40,
    FADT_PM1A_CONTROL = 64,
    FADT_PM1B_CONTROL = 68,
    FADT_PM_TIMER = 76,
    FADT_CENTURY = 108,
    FADT_FLAGS = 112,
    FADT_RESET = 116,
    FADT_RESET_VALUE = 128,
    FADT_X_DSDT = 140,
    FADT_FLAG_RESET = 1 << 10,
    MADT_ENTRIES = 44,
    MADT_LOCAL_APIC = 0,
    MADT_IO_APIC = 1,
    MADT_OVERRIDE = 2,
    MADT_LOCAL_X2APIC = 9,
    MADT_ENABLED = 1,
    ISA_COM1 = 4,
    POLARITY_LOW = 3,
    TRIGGER_LEVEL = 3,
};

struct table {
    const uint8_t *data;
    uint32_t size;
};

static void complain(struct acpi_info *info, const char *what, const char *why)
{
    if (!info->problem[0]) {
        pv_snprintf(info->problem, sizeof(info->problem), "ACPI %s: %s", what, why);
    }
}

static uint64_t read_le(const uint8_t *data, int bytes)
{
    uint64_t value = 0;
    for (int i = bytes - 1; i >= 0; i--) {
        value = value << 8 | data[i];
    }
    return value;
}

/// A field of a table, 0 when the table is too short for it (older revisions are).
static uint64_t field(const struct table *t, uint32_t offset, int bytes)
{
    return offset + (uint32_t)bytes <= t->size ? read_le(t->data + offset, bytes) : 0;
}

static bool checksum_right(const uint8_t *data, uint32_t size)
{
    uint8_t sum = 0;
    for (uint32_t i = 0; i < size; i++) {
        sum = (uint8_t)(sum + data[i]);
    }
    return sum == 0;
}

/// Maps a whole table and checks it. False: message left in info.
static bool open_table(uint64_t physical, acpi_map *map, struct table *t, struct acpi_info *info)
{
    const uint8_t *header = physical ? map(physical, HEADER_SIZE) : NULL;
    if (!header) {
        complain(info, "table", "its address cannot be read");
        return false;
    }
    uint32_t size = (uint32_t)read_le(header + HEADER_LENGTH, 4);
    if (size < HEADER_SIZE || size > TABLE_MAX) {
        complain(info, "table", "its length is impossible");
        return false;
    }
    t->data = map(physical, size);
    t->size = size;
    if (!t->data || !checksum_right(t->data, size)) {
        complain(info, "table", "wrong checksum");
        return false;
    }
    return true;
}

static void madt_override(const uint8_t *entry, struct acpi_info *info)
{
    if (entry[3] != ISA_COM1) {
        return;
    }
    uint32_t flags = (uint32_t)read_le(entry + 8, 2);
    info->com1_input = (uint32_t)read_le(entry + 4, 4);
    info->com1_low = (flags & 3) == POLARITY_LOW;
    info->com1_level = (flags >> 2 & 3) == TRIGGER_LEVEL;
}

static void madt_core(uint32_t apic, uint32_t flags, struct acpi_info *info)
{
    if (!(flags & MADT_ENABLED)) {
        return;
    }
    for (uint32_t i = 0; i < info->core_count; i++) { // firmware lists low ids as APIC and as x2APIC at times
        if (info->cores[i] == apic) {
            return;
        }
    }
    if (info->core_count < ACPI_MAX_CORES) {
        info->cores[info->core_count++] = apic;
    } else {
        complain(info, "MADT", "more processors than the table holds");
    }
}

static void madt_ioapic(const uint8_t *entry, struct acpi_info *info)
{
    uint64_t address = read_le(entry + 4, 4);
    if (read_le(entry + 8, 4) == 0) { // has the inputs from 0 on, ISA's among them
        info->ioapic = address;
    }
    if (info->ioapic_count < ACPI_MAX_IOAPICS) {
        info->ioapics[info->ioapic_count++] = address;
    }
}

static void read_madt(const struct table *t, struct acpi_info *info)
{
    for (uint32_t at = MADT_ENTRIES; at + 2 <= t->size;) {
        const uint8_t *entry = t->data + at;
        uint32_t length = entry[1];
        if (length < 2 || at + length > t->size) {
            complain(info, "MADT", "an entry runs over the end");
            return;
        }
        if (entry[0] == MADT_LOCAL_APIC && length >= 8) {
            madt_core(entry[3], (uint32_t)read_le(entry + 4, 4), info);
        } else if (entry[0] == MADT_LOCAL_X2APIC && length >= 16) {
            madt_core((uint32_t)read_le(entry + 4, 4), (uint32_t)read_le(entry + 8, 4), info);
        } else if (entry[0] == MADT_IO_APIC && length >= 12) {
            madt_ioapic(entry, info);
        } else if (entry[0] == MADT_OVERRIDE && length >= 10) {
            madt_override(entry, info);
        }
        at += length;
    }
}

/// One small integer of an AML package: ZeroOp, OneOp, or BytePrefix and a byte (ACPI 20.2.3).
static bool aml_byte(const struct table *t, uint32_t *at, uint8_t *value)
{
    if (*at >= t->size) {
        return false;
    }
    uint8_t op = t->data[(*at)++];
    if (op == 0 || op == 1) {
        *value = op;
        return true;
    }
    if (op != 0x0a || *at >= t->size) {
        return false;
    }
    *value = t->data[(*at)++];
    return true;
}

/// \_S5: Name(_S5_, Package{SLP_TYPa, SLP_TYPb, ...}). A whole AML interpreter for two numbers is not wanted; the
/// encoding is fixed enough.
static void read_s5(const struct table *t, struct acpi_info *info)
{
    for (uint32_t at = HEADER_SIZE; at + 8 < t->size; at++) {
        if (memcmp(t->data + at, "_S5_", 4) != 0 || t->data[at + 4] != 0x12) { // PackageOp
            continue;
        }
        uint32_t next = at + 6 + (t->data[at + 5] >> 6) + 1; // PkgLength's further bytes, then NumElements
        if (aml_byte(t, &next, &info->s5_a) && aml_byte(t, &next, &info->s5_b)) {
            info->has_s5 = true;
            return;
        }
    }
}

static void read_fadt(const struct table *t, acpi_map *map, struct acpi_info *info)
{
    info->pm_timer = (uint32_t)field(t, FADT_PM_TIMER, 4);
    info->century = (uint8_t)field(t, FADT_CENTURY, 1);
    info->pm1a_control = (uint32_t)field(t, FADT_PM1A_CONTROL, 4);
    info->pm1b_control = (uint32_t)field(t, FADT_PM1B_CONTROL, 4);
    if (field(t, FADT_FLAGS, 4) & FADT_FLAG_RESET) {
        info->reset_space = (uint8_t)field(t, FADT_RESET, 1);
        info->reset_address = field(t, FADT_RESET + 4, 8);
        info->reset_value = (uint8_t)field(t, FADT_RESET_VALUE, 1);
        info->has_reset = info->reset_address && info->reset_space <= 1;
    }
    uint64_t dsdt = field(t, FADT_X_DSDT, 8);
    struct table d;
    if (open_table(dsdt ? dsdt : field(t, FADT_DSDT, 4), map, &d, info)) {
        read_s5(&d, info);
    }
}

void acpi_read(uint64_t rsdp, acpi_map *map, struct acpi_info *info)
{
    memset(info, 0, sizeof(*info));
    info->com1_input = ISA_COM1;
    const uint8_t *root = rsdp ? map(rsdp, RSDP_SIZE_1) : NULL;
    if (!root) {
        return;
    }
    if (memcmp(root, "RSD PTR ", 8) != 0 || !checksum_right(root, RSDP_SIZE_1)) {
        complain(info, "RSDP", "wrong signature or checksum");
        return;
    }
    bool extended = root[RSDP_REVISION] >= 2 && (root = map(rsdp, RSDP_SIZE_2)) != NULL && read_le(root + RSDP_XSDT, 8);
    struct table list;
    root = root ? root : map(rsdp, RSDP_SIZE_1);
    if (!open_table(read_le(root + (extended ? RSDP_XSDT : RSDP_RSDT), extended ? 8 : 4), map, &list, info)) {
        return;
    }
    info->present = true;
    uint32_t width = extended ? 8 : 4;
    for (uint32_t at = HEADER_SIZE; at + width <= list.size; at += width) {
        struct table t;
        if (!open_table(read_le(list.data + at, (int)width), map, &t, info)) {
            continue;
        }
        if (memcmp(t.data, "APIC", 4) == 0) {
            read_madt(&t, info);
        } else if (memcmp(t.data, "FACP", 4) == 0) {
            read_fadt(&t, map, info);
        }
    }
}
