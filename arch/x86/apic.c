// SPDX-License-Identifier: Apache-2.0
#include "arch/x86/apic.h"

#include <stddef.h>

#include "arch/x86/cpu.h"
#include "arch/x86/layout.h"
#include "arch/x86/paging.h"
#include "arch/x86/registers.h"
#include "arch/x86/tsc.h"

/* Registers by their xAPIC offset, SDM Vol. 3A table 11-1 */
enum {
    APIC_ID = 0x20,
    APIC_TPR = 0x80,
    APIC_EOI = 0xb0,
    APIC_SPURIOUS = 0xf0,
    APIC_ICR_LOW = 0x300,
    APIC_ICR_HIGH = 0x310,
    APIC_LVT_TIMER = 0x320,
    APIC_LVT_LINT0 = 0x350,
    APIC_LVT_LINT1 = 0x360,
    APIC_LVT_ERROR = 0x370,
    APIC_TIMER_INITIAL = 0x380,
    APIC_TIMER_CURRENT = 0x390,
    APIC_TIMER_DIVIDE = 0x3e0,
    SPURIOUS_ENABLE = 1 << 8,
    LVT_MASKED = 1 << 16,
    LVT_DEADLINE = 2 << 17,
    LVT_NMI = 4 << 8,
    ICR_NMI = 4 << 8,
    ICR_INIT = 5 << 8,
    ICR_STARTUP = 6 << 8,
    ICR_PENDING = 1 << 12,
    ICR_ASSERT = 1 << 14,
    DIVIDE_BY_1 = 0xb,
    ICR_WAIT_LIMIT = 1000000, // polls; delivery takes microseconds
};

static bool x2apic;
static bool deadline_mode;
static volatile uint32_t *xapic;
static uint64_t timer_hz; // of the count-down timer, without TSC-deadline mode
static uint64_t timer_tsc_hz;

static uint32_t apic_read(uint32_t reg)
{
    return x2apic ? (uint32_t)cpu_rdmsr(MSR_X2APIC + reg / 16) : xapic[reg / 4];
}

static void apic_write(uint32_t reg, uint32_t value)
{
    if (x2apic) {
        cpu_wrmsr(MSR_X2APIC + reg / 16, value);
    } else {
        xapic[reg / 4] = value;
    }
}

void apic_init(void)
{
    cpu_out8(0x21, 0xff); // both 8259s masked
    cpu_out8(0xa1, 0xff);
    struct cpuid f1 = cpu_cpuid(1, 0);
    x2apic = f1.ecx & CPUID_1_ECX_X2APIC;
    deadline_mode = f1.ecx & CPUID_1_ECX_TSC_DEADLINE;
    if (!x2apic) {
        uint64_t base = cpu_rdmsr(MSR_APIC_BASE) & UINT64_C(0xffffffffff000);
        xapic = paging_map_device(base, PAGE_SIZE);
    }
}

void apic_enable(void)
{
    uint64_t base = cpu_rdmsr(MSR_APIC_BASE) | APIC_BASE_ENABLE;
    cpu_wrmsr(MSR_APIC_BASE, base); // from disabled straight to x2APIC is #GP (SDM Vol. 3A figure 11-27)
    if (x2apic) {
        cpu_wrmsr(MSR_APIC_BASE, base | APIC_BASE_EXTD);
    }
    apic_write(APIC_TPR, 0);
    // Before the local vector table: while the APIC is disabled by software its entries stay masked, whatever is
    // written (SDM Vol. 3A 11.4.7.2), and after INIT it is disabled.
    apic_write(APIC_SPURIOUS, SPURIOUS_ENABLE | VECTOR_SPURIOUS);
    apic_write(APIC_LVT_LINT0, LVT_MASKED);
    apic_write(APIC_LVT_LINT1, LVT_NMI);
    apic_write(APIC_LVT_ERROR, LVT_MASKED);
    apic_write(APIC_LVT_TIMER, deadline_mode ? LVT_DEADLINE | VECTOR_TIMER : VECTOR_TIMER);
    // A write to IA32_TSC_DEADLINE may overtake one to the memory-mapped LVT (SDM Vol. 3A 11.5.4.1).
    __asm__ volatile("mfence" : : : "memory");
    apic_write(APIC_TIMER_DIVIDE, DIVIDE_BY_1);
}

bool apic_is_x2(void)
{
    return x2apic;
}

uint32_t apic_id(void)
{
    uint32_t id = apic_read(APIC_ID);
    return x2apic ? id : id >> 24;
}

void apic_eoi(void)
{
    apic_write(APIC_EOI, 0);
}

/// In xAPIC mode the command register is two halves and one command at a time.
static void send(uint32_t apic, uint32_t command)
{
    if (x2apic) {
        // Unlike an xAPIC write this orders nothing: the message that the IPI announces must be visible first.
        __asm__ volatile("mfence; lfence" : : : "memory");
        cpu_wrmsr(MSR_X2APIC_ICR, (uint64_t)apic << 32 | command);
        return;
    }
    for (int i = 0; i < ICR_WAIT_LIMIT && (apic_read(APIC_ICR_LOW) & ICR_PENDING); i++) {
        cpu_pause();
    }
    apic_write(APIC_ICR_HIGH, apic << 24);
    apic_write(APIC_ICR_LOW, command);
}

void apic_send_ipi(uint32_t apic, uint32_t vector)
{
    send(apic, ICR_ASSERT | vector);
}

void apic_send_nmi(uint32_t apic)
{
    send(apic, ICR_ASSERT | ICR_NMI);
}

void apic_send_init(uint32_t apic)
{
    send(apic, ICR_ASSERT | ICR_INIT);
}

void apic_send_startup(uint32_t apic, uint32_t page)
{
    send(apic, ICR_ASSERT | ICR_STARTUP | page);
}

void apic_timer_calibrate(uint64_t tsc_hz)
{
    timer_tsc_hz = tsc_hz;
    if (deadline_mode) {
        return;
    }
    apic_write(APIC_LVT_TIMER, LVT_MASKED);
    apic_write(APIC_TIMER_INITIAL, UINT32_MAX);
    uint64_t start = cpu_rdtsc();
    tsc_wait_us(10000);
    uint64_t counted = UINT32_MAX - apic_read(APIC_TIMER_CURRENT);
    uint64_t elapsed = cpu_rdtsc() - start;
    apic_write(APIC_TIMER_INITIAL, 0);
    apic_write(APIC_LVT_TIMER, VECTOR_TIMER);
    timer_hz = cpu_scale(counted, tsc_hz, elapsed);
}

void apic_timer_set(uint64_t deadline)
{
    if (deadline_mode) {
        // 0 disarms; a deadline that is over fires at once (SDM Vol. 3A 11.5.4.1).
        cpu_wrmsr(MSR_TSC_DEADLINE, deadline == UINT64_MAX ? 0 : deadline ? deadline : 1);
        return;
    }
    if (deadline == UINT64_MAX) {
        apic_write(APIC_TIMER_INITIAL, 0);
        return;
    }
    uint64_t now = cpu_rdtsc();
    uint64_t ticks = deadline > now ? deadline - now : 0;
    uint64_t count = cpu_scale(ticks, timer_hz, timer_tsc_hz);
    apic_write(APIC_TIMER_INITIAL, count >= UINT32_MAX ? UINT32_MAX : (uint32_t)count + 1);
}

/* I/O APIC, Intel 82093AA data sheet */
enum {
    IOAPIC_SELECT = 0,
    IOAPIC_WINDOW = 0x10 / 4,
    IOAPIC_VERSION = 1,
    IOAPIC_TABLE = 0x10,
    IOAPIC_SIZE = 0x20, // bytes of registers
    IOAPIC_LEVEL = 1 << 15,
    IOAPIC_LOW = 1 << 13,
};

static uint32_t ioapic_read(volatile uint32_t *ioapic, uint32_t reg)
{
    ioapic[IOAPIC_SELECT] = reg;
    return ioapic[IOAPIC_WINDOW];
}

static void ioapic_write(volatile uint32_t *ioapic, uint32_t reg, uint32_t value)
{
    ioapic[IOAPIC_SELECT] = reg;
    ioapic[IOAPIC_WINDOW] = value;
}

/// How many inputs, or 0: there is no I/O APIC that looks right.
static uint32_t ioapic_inputs(volatile uint32_t *ioapic)
{
    uint32_t version = ioapic_read(ioapic, IOAPIC_VERSION);
    return version == UINT32_MAX || (version & 0xff) == 0 ? 0 : (version >> 16 & 0xff) + 1;
}

void ioapic_mask_all(uint64_t address)
{
    volatile uint32_t *ioapic = paging_map_device(address, IOAPIC_SIZE);
    uint32_t inputs = ioapic_inputs(ioapic);
    for (uint32_t i = 0; i < inputs; i++) {
        ioapic_write(ioapic, IOAPIC_TABLE + 2 * i, LVT_MASKED);
    }
}

bool ioapic_route(uint64_t address, uint32_t input, uint32_t vector, uint32_t apic, bool level, bool active_low)
{
    volatile uint32_t *ioapic = paging_map_device(address, IOAPIC_SIZE);
    if (input >= ioapic_inputs(ioapic) || apic > 0xff) {
        return false;
    }
    ioapic_write(ioapic, IOAPIC_TABLE + 2 * input + 1, apic << 24);
    ioapic_write(ioapic, IOAPIC_TABLE + 2 * input, vector | (level ? IOAPIC_LEVEL : 0) | (active_low ? IOAPIC_LOW : 0));
    return true;
}
