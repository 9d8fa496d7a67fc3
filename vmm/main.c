// SPDX-License-Identifier: Apache-2.0
/// The multiplexer's start, from the boot loader's jump to the first personality.
#include <polyvisor/string.h>

#include "arch/x86/acpi.h"
#include "arch/x86/apic.h"
#include "arch/x86/cmos.h"
#include "arch/x86/core.h"
#include "arch/x86/layout.h"
#include "arch/x86/paging.h"
#include "arch/x86/registers.h"
#include "arch/x86/smp.h"
#include "arch/x86/tsc.h"
#include "arch/x86/upcalls.h"
#include "arch/x86/vmx/vmcs_setup.h"
#include "arch/x86/vmx/vmx.h"
#include "vmm/console.h"
#include "vmm/log.h"
#include "vmm/machine.h"
#include "vmm/panic.h"
#include "vmm/personality.h"
#include "vmm/roll_call.h"
#include "vmm/space.h"
#include "vmm/trace.h"
#include "vmm/vcpu_table.h"
#include "vmm/version.h"

enum { CORE_READY_WAIT_US = 100000 };

const char version_text[] = POLYVISOR_VERSION;

static void take_boot_info(uint64_t physical)
{
    const struct boot_info *boot = phys_to_virt(physical);
    if (boot->magic != BOOT_INFO_MAGIC || boot->version != BOOT_INFO_VERSION || boot->size != sizeof(*boot)) {
        panic("the boot loader does not fit: boot_info magic 0x%lx, version %u, size %u", boot->magic, boot->version,
              boot->size);
    }
    memcpy(&machine.boot, boot, sizeof(*boot));
}

static const void *map_table(uint64_t physical, uint64_t size)
{
    return paging_map_firmware(physical, size);
}

/// The rest of a module's last page is whatever was there before: not for personalities to see.
static void clear_module_tails(void)
{
    for (uint32_t i = 0; i < machine.boot.module_count; i++) {
        const struct boot_module *m = &machine.boot.modules[i];
        uint64_t end = m->base + m->size;
        if (m->status == BOOT_MODULE_OK && m->size && end % PAGE_SIZE) {
            memset(phys_to_virt(end), 0, PAGE_SIZE - end % PAGE_SIZE);
        }
    }
}

static void report_vmx(const struct core *core)
{
    if (core->state == PV_CORE_VMX) {
        log_line("core %u: APIC id %u, in VMX operation", core->id, core->apic_id);
    } else {
        log_line("core %u: APIC id %u, no VMX: %s", core->id, core->apic_id, core->why);
    }
}

/// Where cores start, below 1 MiB. Taken before anything else may use the memory there up.
static uint64_t trampoline;

static void take_trampoline(void)
{
    trampoline =
        memmap_alloc(&machine.memory, PAGE_SIZE, PAGE_SIZE, PAGE_SIZE, 0xa0000, PV_MEMORY_MULTIPLEXER, MEMMAP_NO_OWNER);
}

/// Pages that the cores need before they start: stacks and VMXON regions.
static void prepare_cores(void)
{
    for (uint32_t i = 0; i < core_count; i++) {
        if (i > 0) {
            smp_make_stacks(&machine.memory, &cores[i]);
        }
        cores[i].vmxon_region = memmap_alloc(&machine.memory, VMX_REGION_SIZE, PAGE_SIZE, 0, UINT64_C(1) << 32,
                                             PV_MEMORY_MULTIPLEXER, MEMMAP_NO_OWNER);
        if (!cores[i].vmxon_region) {
            panic("no memory for the cores' VMXON regions");
        }
    }
}

/// Either the core is ready or it is given up: `verdict` decides, once.
static uint32_t verdicts[PV_MAX_CORES];
enum { VERDICT_READY = 1, VERDICT_GIVEN_UP = 2 };

static bool decide(const struct core *core, uint32_t verdict)
{
    uint32_t none = 0;
    return __atomic_compare_exchange_n(&verdicts[core->id], &none, verdict, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

/// False: it has become ready meanwhile.
static bool core_give_up(struct core *core)
{
    if (!decide(core, VERDICT_GIVEN_UP)) {
        return false;
    }
    core->state = PV_CORE_ABSENT;
    return true;
}

static void core_become_ready(struct core *core)
{
    if (!decide(core, VERDICT_READY)) {
        for (;;) { // nobody waits for it any more
            cpu_interrupts_off();
            cpu_halt();
        }
    }
    __atomic_store_n(&core->ready, true, __ATOMIC_RELEASE);
}

static void wait_until_ready(void)
{
    for (uint32_t i = 1; i < core_count; i++) {
        uint64_t end = cpu_rdtsc() + tsc_hz() / 1000000 * CORE_READY_WAIT_US;
        while (cores[i].state != PV_CORE_ABSENT && !__atomic_load_n(&cores[i].ready, __ATOMIC_ACQUIRE)) {
            if (cpu_rdtsc() > end && core_give_up(&cores[i])) {
                pv_strcopy(cores[i].why, sizeof(cores[i].why), "started, but did not finish its set-up");
                log_line("core %u: %s; left out", i, cores[i].why);
            }
            cpu_pause();
        }
        if (cores[i].state != PV_CORE_ABSENT) {
            report_vmx(&cores[i]);
        }
    }
}

/// What every VMCS refers to.
static void prepare_vmx(void)
{
    uint64_t bitmaps = memmap_alloc(&machine.memory, 2 * PAGE_SIZE, PAGE_SIZE, 0, PHYSMAP_SIZE, PV_MEMORY_MULTIPLEXER,
                                    MEMMAP_NO_OWNER);
    if (!bitmaps) {
        panic("no memory for the MSR and I/O bitmaps");
    }
    vmcs_setup_init(bitmaps, bitmaps + PAGE_SIZE);
    space_init();
    vcpu_table_init();
}

static void enter_vmx(struct core *core)
{
    if (vmx_enable(core)) {
        trace_vmx(core, true);
    }
}

static void start_cores(void)
{
    prepare_cores();
    trace_init(&machine.memory, machine_option_number("trace", 0));
    prepare_vmx();
    const bool watched = roll_call_wanted();
    if (!watched) {
        enter_vmx(&cores[0]);
    }
    if (trampoline) {
        smp_start_all(trampoline);
    } else {
        log_line("no free page below 1 MiB: only core 0 is used");
        core_count = 1;
    }
    if (watched) {
        roll_call_lead();
    }
    report_vmx(&cores[0]);
    wait_until_ready();
}

static void start_console(void)
{
    const struct acpi_info *acpi = &machine.acpi;
    for (uint32_t i = 0; i < acpi->ioapic_count; i++) {
        ioapic_mask_all(acpi->ioapics[i]);
    }
    if (acpi->ioapic_count == 0) {
        ioapic_mask_all(IOAPIC_ADDRESS_DEFAULT);
    }
    bool routed = ioapic_route(acpi->ioapic ? acpi->ioapic : IOAPIC_ADDRESS_DEFAULT, acpi->com1_input, VECTOR_COM1,
                               cores[0].apic_id, acpi->com1_level, acpi->com1_low);
    if (!routed) {
        log_line("no I/O APIC: the serial line is polled");
    }
    console_start(routed);
}

/// On core 0's main stack, with all of arch/x86 but the timer set up.
_Noreturn static void main_on_stack(void)
{
    struct core *core = core_self();
    core->alive = true;
    apic_timer_calibrate(tsc_hz());
    sched_init_core();
    start_cores();
    core->ready = true;
    machine_configure();
    if (vmx_ready() && !vmx_choose_guest_timer(machine.config.lapic_timer)) {
        log_line("no VMX-preemption timer that can be used: the local APIC's ends guests' slices");
    }
    start_console();
    sched_configure(machine.slice_ticks);
    machine.tsc_ready = cpu_rdtsc();
    personality_create_all();
    if (machine.config.policy == PV_POLICY_FRAME) {
        sched_set_policy(PV_POLICY_FRAME, machine.slice_ticks);
    }
    sched_settle();
    core_resume();
}

static void read_time_of_day(void)
{
    uint64_t time = cmos_time(machine.acpi.century), passed = (cpu_rdtsc() - machine.tsc_entry) / tsc_hz();
    machine.time_entry = time > passed ? time - passed : 0;
}

void mux_main(uint64_t boot_info)
{
    tsc_clear_adjust();
    machine.tsc_entry = cpu_rdtsc();
    console_init(); // first: nothing could be said of a fault before
    const char *missing = core_missing_feature();
    if (missing) {
        panic("this processor cannot run Polyvisor: %s", missing);
    }
    core_early_init();
    take_boot_info(boot_info);
    machine_map_memory();
    take_trampoline();
    paging_init(&machine.memory, machine.boot.image_base);
    acpi_read(machine.boot.rsdp, map_table, &machine.acpi);
    clear_module_tails(); // now: GRUB's copy of the RSDP may stand behind a module
    tsc_calibrate(machine.acpi.pm_timer);
    read_time_of_day();
    log_line("Polyvisor %s, loaded by %s", version_text, machine.boot.loader);
    log_line("TSC: %lu kHz (%s); %lu MiB of memory free", tsc_hz() / 1000, tsc_source(),
             memmap_total(&machine.memory, PV_MEMORY_FREE) >> 20);
    if (machine.acpi.problem[0]) {
        log_line("%s", machine.acpi.problem);
    }
    apic_init();
    apic_enable();
    machine_find_cores();
    smp_make_stacks(&machine.memory, &cores[0]);
    core_load(&cores[0]);
    core_switch_stack(cores[0].main_stack, main_on_stack);
}

void mux_core_main(void)
{
    struct core *core = core_self();
    sched_init_core();
    if (!roll_call_follow(core)) {
        enter_vmx(core);
    }
    core_become_ready(core);
    sched_settle();
    core_resume();
}
