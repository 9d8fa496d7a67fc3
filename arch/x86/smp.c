// SPDX-License-Identifier: Apache-2.0
#include "arch/x86/smp.h"

#include <polyvisor/format.h>
#include <polyvisor/string.h>

#include "arch/x86/apic.h"
#include "arch/x86/core.h"
#include "arch/x86/paging.h"
#include "arch/x86/registers.h"
#include "arch/x86/tsc.h"
#include "arch/x86/upcalls.h"
#include "vmm/log.h"
#include "vmm/memmap.h"
#include "vmm/panic.h"

enum {
    INIT_WAIT_US = 10000,    // SDM Vol. 3A 8.4.4.1
    STARTUP_WAIT_US = 200,   // between the two SIPIs
    ANSWER_WAIT_US = 100000, // then the core is left out
    ANSWER_POLL_US = 20,
};

/// What trampoline.asm reads, at its page's end. Offsets are known there.
struct trampoline_data {
    uint64_t root;          ///< page tables with the trampoline mapped to itself
    uint64_t stack;         ///< struct stack_top
    uint64_t entry;         ///< where to go in the image
    uint32_t apic_id;       ///< of the core that is meant: another one (late, after it was given up) halts
    uint32_t has_x2apic_id; ///< read it from CPUID leaf 0BH
};
enum { TRAMPOLINE_DATA = PAGE_SIZE - sizeof(struct trampoline_data) };

extern const uint8_t trampoline_start[], trampoline_end[];

static uint64_t pages_for_stack(struct memmap *map)
{
    uint64_t physical =
        memmap_alloc(map, STACK_SIZE, PAGE_SIZE, 0, PHYSMAP_SIZE, PV_MEMORY_MULTIPLEXER, MEMMAP_NO_OWNER);
    if (!physical) {
        panic("no memory for a core's stacks");
    }
    return physical;
}

void smp_make_stacks(struct memmap *map, struct core *core)
{
    for (int i = 0; i <= IST_COUNT; i++) {
        uint64_t slot = STACKS_BASE + (uint64_t)STACK_SLOT * (core->id * (IST_COUNT + 1) + (uint64_t)i);
        paging_map_kernel(slot + STACK_SLOT - STACK_SIZE, pages_for_stack(map), STACK_SIZE,
                          PAGE_WRITE | PAGE_NO_EXECUTE);
        struct stack_top *top = stack_top_of(slot);
        *top = (struct stack_top){.current = NULL, .core = core};
        if (i == 0) {
            core->main_stack = top;
        } else {
            core->ist_stack[i - 1] = top;
        }
    }
}

/// First C code of a started core, on its own main stack.
static _Noreturn void start_here(void)
{
    struct core *core = core_self();
    if (core->state == PV_CORE_ABSENT) { // came after it was given up
        for (;;) {
            cpu_halt();
        }
    }
    core->loaded_root = 0;
    core_load_root(core, paging_kernel_root());
    core_load(core);
    apic_enable();
    tsc_clear_adjust();
    __atomic_store_n(&core->alive, true, __ATOMIC_RELEASE);
    mux_core_main();
}

static bool wait_alive(const struct core *core, uint64_t microseconds)
{
    for (uint64_t waited = 0; waited < microseconds; waited += ANSWER_POLL_US) {
        if (__atomic_load_n(&core->alive, __ATOMIC_ACQUIRE)) {
            return true;
        }
        tsc_wait_us(ANSWER_POLL_US);
    }
    return __atomic_load_n(&core->alive, __ATOMIC_ACQUIRE);
}

static void start_one(struct core *core, struct trampoline_data *data, uint64_t trampoline)
{
    data->stack = (uint64_t)core->main_stack;
    data->apic_id = core->apic_id;
    uint32_t page = (uint32_t)(trampoline / PAGE_SIZE);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    apic_send_startup(core->apic_id, page);
    if (!wait_alive(core, STARTUP_WAIT_US)) {
        apic_send_startup(core->apic_id, page);
    }
    if (!wait_alive(core, ANSWER_WAIT_US)) {
        core->state = PV_CORE_ABSENT;
        pv_snprintf(core->why, sizeof(core->why), "APIC id %u did not answer INIT-SIPI-SIPI within %u ms",
                    core->apic_id, ANSWER_WAIT_US / 1000);
        log_line("core %u: %s; left out", core->id, core->why);
    }
    data->apic_id = UINT32_MAX; // nobody: one that comes late halts in the trampoline
}

void smp_start_all(uint64_t trampoline)
{
    uint8_t *page = phys_to_virt(trampoline);
    ASSERT((uint64_t)(trampoline_end - trampoline_start) <= TRAMPOLINE_DATA);
    memcpy(page, trampoline_start, (uint64_t)(trampoline_end - trampoline_start));
    struct trampoline_data *data = (void *)(page + TRAMPOLINE_DATA);
    data->root = paging_make_trampoline_root(trampoline);
    data->entry = (uint64_t)start_here;
    data->has_x2apic_id = cpu_cpuid(0, 0).eax >= 0xb && cpu_cpuid(0xb, 0).ebx != 0;

    for (uint32_t i = 1; i < core_count; i++) {
        apic_send_init(cores[i].apic_id);
    }
    if (core_count > 1) {
        tsc_wait_us(INIT_WAIT_US);
    }
    for (uint32_t i = 1; i < core_count; i++) {
        start_one(&cores[i], data, trampoline);
    }
}
