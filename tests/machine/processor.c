// SPDX-License-Identifier: Apache-2.0
/// What a core has besides VMX, as variables.
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/x86/apic.h"
#include "arch/x86/cpu.h"
#include "arch/x86/debug_registers.h"
#include "arch/x86/fpu.h"
#include "arch/x86/paging.h"
#include "arch/x86/registers.h"
#include "arch/x86/trap.h"
#include "arch/x86/tsc.h"
#include "arch/x86/uart.h"
#include "machine.h"
#include "vmm/panic.h"

enum { TICKS = 20, FPU_PLACE = 576, XCR0_ALL = 0x2e7, FIFO = 16 };

struct core cores[PV_MAX_CORES];
uint32_t core_count;
struct machine_core machine_cores[MACHINE_CORES];
uint32_t machine_self;
uint64_t machine_tsc;
uint64_t fpu_all_features = XCR0_ALL;
bool fpu_optimised = true;

static uint8_t stacks[MACHINE_CORES][STACK_SLOT] __attribute__((aligned(STACK_SLOT)));

static struct machine_core *self(void)
{
    return &machine_cores[machine_self];
}

/* ---- ends ---- */

static _Noreturn void end(const char *what, const char *format, va_list args)
{
    fprintf(stderr, "machine: %s on core %u: ", what, machine_self);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    abort();
}

void machine_fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    end("violation", format, args);
}

void panic(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    end("panic", format, args);
}

bool panic_running(void)
{
    return false;
}

void panic_park(struct ring0_frame *frame)
{
    (void)frame;
    machine_fail("parked without a panic");
}

void cpu_pause(void)
{
    machine_fail("waits for what nobody will do: a lock taken twice?");
}

/* ---- registers ---- */

uint64_t cpu_stack_pointer(void)
{
    return (uint64_t)stacks[machine_self];
}

uint64_t cpu_rdtsc(void)
{
    return machine_tsc += TICKS;
}

uint64_t cpu_read_cr0(void)
{
    return self()->cr0;
}

void cpu_write_cr0(uint64_t value)
{
    self()->cr0 = value;
}

uint64_t cpu_read_cr2(void)
{
    return self()->now.cr2;
}

void cpu_write_cr2(uint64_t value)
{
    self()->now.cr2 = value;
}

uint64_t cpu_read_cr3(void)
{
    return self()->cr3;
}

void cpu_write_cr3(uint64_t value)
{
    self()->cr3 = value;
}

uint64_t cpu_read_cr4(void)
{
    return self()->cr4;
}

void cpu_write_cr4(uint64_t value)
{
    self()->cr4 = value;
}

struct cpuid cpu_cpuid(uint32_t leaf, uint32_t subleaf)
{
    switch (leaf) {
    case 0xd:
        return subleaf == 0 ? (struct cpuid){.eax = XCR0_ALL} : (struct cpuid){.eax = subleaf == 1};
    case 0x80000001:
        return (struct cpuid){.edx = CPUID_80000001_EDX_NX | CPUID_80000001_EDX_1G | CPUID_80000001_EDX_RDTSCP};
    case 0x80000008:
        return (struct cpuid){.eax = 48 << 8 | 40}; // bits of linear and physical addresses
    default:
        return (struct cpuid){0};
    }
}

static bool canonical(uint64_t address)
{
    return (uint64_t)((int64_t)(address << 16) >> 16) == address;
}

/// Where the machine keeps an MSR, and whether a value may be written to it. NULL: there is no such MSR.
static uint64_t *find_msr(uint32_t msr, uint64_t value, bool *valid)
{
    struct machine_core *m = self();
    *valid = true;
    switch (msr) {
    case MSR_STAR:
        return &m->now.msrs.star;
    case MSR_LSTAR:
        *valid = canonical(value);
        return &m->now.msrs.lstar;
    case MSR_SFMASK:
        *valid = value >> 32 == 0;
        return &m->now.msrs.sfmask;
    case MSR_TSC_AUX:
        *valid = value >> 32 == 0;
        return &m->now.msrs.tsc_aux;
    case MSR_KERNEL_GS_BASE:
        *valid = canonical(value);
        return &m->now.kernel_gs_base;
    default:
        return NULL;
    }
}

bool msr_read_safe(uint32_t msr, uint64_t *value)
{
    bool valid;
    const uint64_t *place = find_msr(msr, 0, &valid);
    if (msr == MSR_EFER || msr == MSR_ARCH_CAPABILITIES) {
        *value = msr == MSR_EFER ? EFER_LME | EFER_LMA | EFER_NXE : ARCH_CAPABILITIES_IF_PSCHANGE_MC_NO;
    } else if (place) {
        *value = *place;
    } else {
        return false;
    }
    return true;
}

bool msr_write_safe(uint32_t msr, uint64_t value)
{
    bool valid;
    uint64_t *place = find_msr(msr, value, &valid);
    if (!place || !valid) {
        return false;
    }
    *place = value;
    return true;
}

uint64_t cpu_rdmsr(uint32_t msr)
{
    uint64_t value = 0;
    MACHINE_CHECK(msr_read_safe(msr, &value), "RDMSR of 0x%x: #GP in ring 0", msr);
    return value;
}

void cpu_wrmsr(uint32_t msr, uint64_t value)
{
    MACHINE_CHECK(msr_write_safe(msr, value), "WRMSR of 0x%x, value 0x%lx: #GP in ring 0", msr, value);
}

void debug_registers_save(uint64_t address[4], uint64_t *dr6)
{
    memcpy(address, self()->now.debug, sizeof(self()->now.debug));
    *dr6 = self()->now.dr6;
}

void debug_registers_load(const uint64_t address[4], uint64_t dr6)
{
    memcpy(self()->now.debug, address, sizeof(self()->now.debug));
    self()->now.dr6 = dr6;
}

void debug_registers_raise(uint64_t causes)
{
    self()->now.dr6 |= causes & 0x600f;
}

/* ---- FPU ---- */

uint64_t fpu_features(void)
{
    return XCR0_ALL;
}

int fpu_xcr0_valid(uint64_t xcr0)
{
    return (xcr0 & 1) && !(xcr0 & ~(uint64_t)XCR0_ALL) && (!(xcr0 & 4) || (xcr0 & 2)) && !(xcr0 & 0xe0);
}

void fpu_init_area(void *area)
{
    uint64_t initial = 0;
    memcpy((char *)area + FPU_PLACE, &initial, sizeof(initial));
}

void fpu_write_xcr0(uint64_t value)
{
    MACHINE_CHECK(fpu_xcr0_valid(value & ~UINT64_C(0xe0)), "XSETBV of 0x%lx: #GP in ring 0", value);
    self()->now.xcr0 = value;
}

void fpu_swap(void *save, const void *load, uint64_t *xcr0, uint64_t new_xcr0)
{
    MACHINE_CHECK(*xcr0 == self()->now.xcr0, "XCR0 is 0x%lx, not 0x%lx", self()->now.xcr0, *xcr0);
    self()->cr0 &= ~CR0_TS;
    if (save) {
        memcpy((char *)save + FPU_PLACE, &self()->now.fpu, sizeof(self()->now.fpu));
    }
    memcpy(&self()->now.fpu, (const char *)load + FPU_PLACE, sizeof(self()->now.fpu));
    *xcr0 = self()->now.xcr0 = new_xcr0;
}

void core_hide_fpu(void)
{
    self()->cr0 |= CR0_TS;
}

/* ---- descriptor tables ---- */

void cpu_load_gdt(const struct table_pointer *gdt)
{
    MACHINE_CHECK(gdt == &core_self()->gdt_pointer, "another core's GDT");
    self()->gdt_narrow = true;
}

uint64_t core_idt_base(void)
{
    static const uint64_t idt[2];
    return (uint64_t)idt;
}

void sysenter_entry(void) {}

void vmx_exit_entry(void) {}

const char *trap_name(uint64_t vector)
{
    return vector == VECTOR_PF ? "#PF" : "exception";
}

/* ---- interrupts and time ---- */

void apic_eoi(void) {}

bool apic_is_x2(void)
{
    return true;
}

void apic_send_ipi(uint32_t apic, uint32_t vector)
{
    MACHINE_CHECK(apic < MACHINE_CORES && vector < 256, "IPI to APIC %u, vector %u", apic, vector);
    machine_cores[apic].pending[vector] = true;
}

void apic_timer_set(uint64_t deadline)
{
    self()->timer = deadline;
}

uint64_t tsc_hz(void)
{
    return MACHINE_TSC_HZ;
}

const char *tsc_source(void)
{
    return "machine";
}

/* ---- serial lines: take everything, say nothing ---- */

bool uart_init(enum uart_line line)
{
    (void)line;
    return true;
}

void uart_enable_interrupts(enum uart_line line)
{
    (void)line;
}

size_t uart_transmit_room(enum uart_line line)
{
    (void)line;
    return FIFO;
}

void uart_put(enum uart_line line, char c)
{
    (void)line, (void)c;
}

int uart_get(enum uart_line line)
{
    (void)line;
    return -1;
}

void uart_flush(enum uart_line line)
{
    (void)line;
}

/* ---- ring 3's memory ---- */

static uint64_t touched[MACHINE_PAGES];
static uint32_t touched_count;
static bool is_touched[MACHINE_PAGES];

void machine_touch(uint64_t physical)
{
    uint64_t page = (physical - MACHINE_RAM_BASE) / PAGE_SIZE;
    if (!is_touched[page]) {
        is_touched[page] = true;
        touched[touched_count++] = page;
    }
}

void machine_clear_touched(void)
{
    while (touched_count) {
        uint64_t page = touched[--touched_count];
        is_touched[page] = false;
        memset(phys_to_virt(MACHINE_RAM_BASE + page * PAGE_SIZE), 0, PAGE_SIZE);
    }
}

/// Walks the current page tables as the processor does for an access from ring 3 (SDM Vol. 3A 4.6). 0: page fault.
static uint8_t *translate(uint64_t address, bool write)
{
    enum { PRESENT = 1, LARGE = 1 << 7 };
    uint64_t table = self()->cr3;
    for (unsigned shift = 39;; shift -= 9) {
        MACHINE_CHECK(machine_is_ram(table, PAGE_SIZE), "a page table at 0x%lx", table);
        uint64_t entry = ((const uint64_t *)phys_to_virt(table))[address >> shift & 511];
        if (!(entry & PRESENT) || !(entry & PAGE_USER) || (write && !(entry & PAGE_WRITE))) {
            return NULL;
        }
        if (shift == 12 || (shift < 39 && (entry & LARGE))) {
            uint64_t size = UINT64_C(1) << shift;
            uint64_t physical = (entry & UINT64_C(0x000ffffffffff000) & ~(size - 1)) | (address & (size - 1));
            MACHINE_CHECK(machine_is_ram(physical, 1), "ring 3 has 0x%lx mapped", physical);
            if (write) {
                machine_touch(physical);
            }
            return phys_to_virt(physical);
        }
        table = entry & UINT64_C(0x000ffffffffff000);
    }
}

static bool copy(uint64_t user, uint8_t *ring0, uint64_t size, bool write)
{
    MACHINE_CHECK(user < USER_TOP && size <= USER_TOP - user, "user copy at 0x%lx, %lu bytes", user, size);
    while (size) {
        uint64_t bytes = PAGE_SIZE - user % PAGE_SIZE;
        bytes = bytes < size ? bytes : size;
        uint8_t *page = translate(user, write);
        if (!page) {
            return false;
        }
        if (write) {
            memcpy(page, ring0, bytes);
        } else {
            memcpy(ring0, page, bytes);
        }
        user += bytes;
        ring0 += bytes;
        size -= bytes;
    }
    return true;
}

bool user_copy_in(void *to, uint64_t from, uint64_t size)
{
    return copy(from, to, size, false);
}

bool user_copy_out(uint64_t to, const void *from, uint64_t size)
{
    return copy(to, (uint8_t *)from, size, true);
}
