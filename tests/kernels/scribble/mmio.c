// SPDX-License-Identifier: Apache-2.0
// Registers in memory: local APIC, I/O APIC, virtio devices; and addresses at which there is nothing.
#include "scribble.h"

enum { APIC = 0xfee00000, IOAPIC = 0xfec00000, ICR = 0x300, ICR_HIGH = 0x310, WINDOW = 0x10 };
enum {
    MODE_SHIFT = 8,
    MODE = 7 << MODE_SHIFT,
    INIT = 5,
    STARTUP = 6,
    OTHERS = 3 << 18,
    ASSERT = 1 << 14,
    AP_PAGES = 0x50,
    FIRST_AP_PAGE = 0x10
};
enum { QUEUE_ADDRESSES = 0x20, QUEUE_ADDRESSES_END = 0x38 };

static uint32_t writes, reads, changes;

void mmio_write(uint64_t address, uint32_t size, uint64_t value)
{
    if (size == 1)
        __asm__ volatile("movb %b0, (%1)" : : "r"(value), "r"(address) : "memory");
    else if (size == 2)
        __asm__ volatile("movw %w0, (%1)" : : "r"(value), "r"(address) : "memory");
    else if (size == 4)
        __asm__ volatile("movl %k0, (%1)" : : "r"(value), "r"(address) : "memory");
    else
        __asm__ volatile("movq %0, (%1)" : : "r"(value), "r"(address) : "memory");
}

uint64_t mmio_read(uint64_t address, uint32_t size)
{
    uint64_t value = 0;
    if (size == 1)
        __asm__ volatile("movb (%1), %b0" : "+r"(value) : "r"(address) : "memory");
    else if (size == 2)
        __asm__ volatile("movw (%1), %w0" : "+r"(value) : "r"(address) : "memory");
    else if (size == 4)
        __asm__ volatile("movl (%1), %k0" : "+r"(value) : "r"(address) : "memory");
    else
        __asm__ volatile("movq (%1), %0" : "+r"(value) : "r"(address) : "memory");
    return value;
}

/// What is emulated besides MOV: instructions that read and write, or read only.
static void change(uint64_t at, uint32_t size, uint64_t value)
{
    uint64_t v = value;
    switch (below(10) * 4 + (uint32_t)__builtin_ctz(size)) {
    case 2:
        __asm__ volatile("xchgl %k0, (%1)" : "+r"(v) : "r"(at) : "memory");
        break;
    case 4 ... 5:
        __asm__ volatile("lock addb %b0, (%1)" : : "r"(v), "r"(at) : "memory", "cc");
        break;
    case 6:
        __asm__ volatile("addl %k0, (%1)" : : "r"(v), "r"(at) : "memory", "cc");
        break;
    case 7:
        __asm__ volatile("subq %0, (%1)" : : "r"(v), "r"(at) : "memory", "cc");
        break;
    case 8 ... 11:
        __asm__ volatile("orl %k0, (%1)" : : "r"(v), "r"(at) : "memory", "cc");
        break;
    case 12 ... 15:
        __asm__ volatile("lock andl %k0, (%1)" : : "r"(v), "r"(at) : "memory", "cc");
        break;
    case 16 ... 17:
        __asm__ volatile("xorw %w0, (%1)" : : "r"(v), "r"(at) : "memory", "cc");
        break;
    case 18 ... 19:
        __asm__ volatile("cmpl %k0, (%1)" : : "r"(v), "r"(at) : "memory", "cc");
        break;
    case 20 ... 23:
        __asm__ volatile("testl $0x12345678, (%0)" : : "r"(at) : "memory", "cc");
        break;
    case 24 ... 25:
        __asm__ volatile("movzbl (%1), %k0" : "=r"(v) : "r"(at) : "memory");
        break;
    case 26 ... 27:
        __asm__ volatile("movswq (%1), %0" : "=r"(v) : "r"(at) : "memory");
        break;
    case 28 ... 31:
        __asm__ volatile("movslq (%1), %0" : "=r"(v) : "r"(at) : "memory");
        break;
    case 32 ... 35:
        __asm__ volatile("movl $0x87654321, (%0)" : : "r"(at) : "memory");
        break;
    default:
        __asm__ volatile("cmpb $3, (%0)" : : "r"(at) : "memory", "cc");
        break;
    }
    changes++;
}

/// An INIT stops a processor until somebody starts it: of the messages that go round, none may be one. Only by a command it is sent to
/// the others, as are start-up IPIs, to where there is code.
static uint64_t without_init(uint64_t value)
{
    const uint32_t mode = value >> MODE_SHIFT & 7;
    return mode == INIT || mode == STARTUP ? value & ~(uint64_t)MODE : value;
}

static uint64_t harmless_command(uint64_t value)
{
    const uint32_t mode = value >> MODE_SHIFT & 7;
    if (mode != INIT && mode != STARTUP)
        return value;
    value |= OTHERS;
    return mode == STARTUP ? (value & ~UINT64_C(0xff)) | (FIRST_AP_PAGE + below(AP_PAGES)) : value;
}

static void access_lapic(void)
{
    const bool exact = !one_in(4);
    const uint32_t size = exact ? 4 : 1u << below(4);
    const uint64_t offset = exact ? (uint64_t)below(64) * 16 : below(PAGE - 8);
    const bool command = offset + size > ICR && offset < ICR_HIGH;
    if (one_in(3)) {
        mmio_read(APIC + offset, size);
        reads++;
    } else if (one_in(8) && !command) {
        change(APIC + offset, size, any_value());
    } else {
        const uint64_t value = any_value();
        mmio_write(APIC + (command ? ICR : offset), command ? 4 : size, command ? harmless_command(value) : value);
        writes++;
    }
}

/// The others begin anew, or for the first time.
static void start_others(void)
{
    mmio_write(APIC + ICR, 4, OTHERS | INIT << MODE_SHIFT | ASSERT);
    mmio_write(APIC + ICR, 4, harmless_command(OTHERS | STARTUP << MODE_SHIFT | ASSERT));
    writes += 2;
}

/// Random redirections, and random accesses to its page.
static void access_ioapic(void)
{
    const uint32_t what = below(8);
    if (what < 4) {
        mmio_write(IOAPIC, 4, one_in(8) ? any_value() : 0x10 + below(48));
        mmio_write(IOAPIC + WINDOW, 4, without_init(any_value()));
        writes += 2;
    } else if (what == 4) {
        mmio_read(IOAPIC + WINDOW, 4);
        reads++;
    } else {
        const uint64_t offset = (uint64_t)below(PAGE - 8) & (one_in(2) ? 0x40 : UINT64_MAX);
        if (one_in(2))
            mmio_read(IOAPIC + offset, 1u << below(4)), reads++;
        else
            mmio_write(IOAPIC + offset, 1u << below(4), without_init(any_value())), writes++;
    }
}

/// Addresses that a device is told to use lie in the arena or nowhere: what the device writes there shall not be this program.
static uint64_t arena_only(uint64_t offset, uint64_t value)
{
    return offset + 8 > QUEUE_ADDRESSES && offset < QUEUE_ADDRESSES_END ? value | ARENA | (uint64_t)ARENA << 32 : value;
}

static void access_virtio(void)
{
    const struct function *f = &functions[below(function_count)];
    const bool table = one_in(4);
    const uint32_t size = 1u << below(4);
    const uint64_t offset =
        table ? below(one_in(2) ? 0x40 : PAGE - 8) : below(4) * PAGE + below(one_in(8) ? PAGE - 8 : 0x40);
    const uint64_t at = f->bar[table] + (one_in(4) ? offset : offset & ~(uint64_t)(size - 1));
    if (one_in(3)) {
        mmio_read(at, size);
        reads++;
        return;
    }
    uint64_t value = any_value();
    if (table)
        value = without_init(value & UINT32_MAX) | without_init(value >> 32) << 32;
    else
        value = arena_only(at - f->bar[0], value);
    mmio_write(at, size, value);
    writes++;
}

/// Nobody answers there.
static void access_nothing(void)
{
    static const uint64_t places[] = {0xc0000000,
                                      0xfd000000,
                                      0xfed00000,
                                      0xfef00000,
                                      0xfffff000,
                                      UINT64_C(0x100000000),
                                      UINT64_C(0x140000000),
                                      UINT64_C(0x17ffff000)}; // entry.asm maps 4 GiB, 5 GiB and the last one
    const uint64_t at = places[below(8)] + below(PAGE - 8);
    const uint32_t size = 1u << below(4);
    if (one_in(3))
        change(at, size, any_value());
    else if (one_in(2))
        mmio_write(at, size, any_value()), writes++;
    else
        mmio_read(at, size), reads++;
}

void scribble_mmio(uint32_t rounds)
{
    writes = reads = changes = 0;
    for (uint32_t i = 0; i < rounds; i++) {
        const uint32_t what = below(8);
        if (one_in(64))
            start_others();
        else if (what < 3)
            access_lapic();
        else if (what < 5)
            access_ioapic();
        else if (what < 7 && function_count != 0)
            access_virtio();
        else
            access_nothing();
        if (one_in(32))
            let_interrupts_in();
    }
    pci_restore();
    say("mmio: %u writes, %u reads, %u changes", writes, reads, changes);
}
