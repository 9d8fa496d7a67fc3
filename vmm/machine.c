// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine.h"

#include <polyvisor/format.h>
#include <polyvisor/string.h>

#include "arch/x86/apic.h"
#include "arch/x86/core.h"
#include "arch/x86/layout.h"
#include "arch/x86/paging.h"
#include "arch/x86/power.h"
#include "arch/x86/tsc.h"
#include "arch/x86/vmx/vmx.h"
#include "vmm/console.h"
#include "vmm/elf.h"
#include "vmm/log.h"
#include "vmm/message.h"
#include "vmm/panic.h"
#include "vmm/sched.h"
#include "vmm/trace.h"

enum {
    STOP_WAIT_US = 100000, // for the other cores to leave VMX operation
    XAPIC_MAX_ID = 254,    // 255 is everybody
    RESERVE = 2 << 20,     // memory kept for tables when pools are checked
    // kernel memory that a personality takes beside its quota, at most: agents and console
    AGENT_OVERHEAD = PV_MAX_CORES * (int)sizeof(struct agent) + PV_CONSOLE_SIZE + 2 * (int)PAGE_SIZE,
};

struct machine machine;

/* ---- memory ---- */

static uint32_t kind_of(uint32_t boot_type)
{
    switch (boot_type) {
    case BOOT_REGION_RAM:
        return PV_MEMORY_FREE;
    case BOOT_REGION_MMIO:
        return PV_MEMORY_MMIO;
    case BOOT_REGION_BAD:
        return PV_MEMORY_BAD;
    default:
        return PV_MEMORY_FIRMWARE;
    }
}

static void claim(uint64_t base, uint64_t size, uint32_t kind, uint32_t owner)
{
    if (size && !memmap_claim(&machine.memory, base, size, kind, owner)) {
        panic("the memory map has too many regions");
    }
}

void machine_map_memory(void)
{
    const struct boot_info *boot = &machine.boot;
    memmap_init(&machine.memory);
    for (uint32_t i = 0; i < boot->region_count; i++) {
        const struct boot_region *r = &boot->regions[i];
        if (!memmap_add(&machine.memory, r->base, r->size, kind_of(r->type), MEMMAP_NO_OWNER)) {
            log_line("memory map: region 0x%lx is left out, the table is full", r->base);
        }
    }
    claim(boot->image_base, boot->image_size, PV_MEMORY_MULTIPLEXER, MEMMAP_NO_OWNER);
    claim(boot->config, boot->config_size, PV_MEMORY_MODULE, boot->module_count);
    for (uint32_t i = 0; i < boot->module_count; i++) {
        if (boot->modules[i].status == BOOT_MODULE_OK) {
            claim(boot->modules[i].base, boot->modules[i].size, PV_MEMORY_MODULE, i);
        }
    }
    // The first page: real-mode vectors; physical address 0 means 'none' everywhere.
    claim(0, PAGE_SIZE, PV_MEMORY_FIRMWARE, MEMMAP_NO_OWNER);
}

const struct boot_module *machine_module(const char *name)
{
    for (uint32_t i = 0; i < machine.boot.module_count; i++) {
        if (strcmp(machine.boot.modules[i].name, name) == 0) {
            return &machine.boot.modules[i];
        }
    }
    return NULL;
}

/* ---- cores ---- */

static void add_core(uint32_t apic)
{
    for (uint32_t i = 0; i < core_count; i++) {
        if (cores[i].apic_id == apic) {
            return;
        }
    }
    if (!apic_is_x2() && apic > XAPIC_MAX_ID) {
        log_line("the core with APIC id %u is left out: it needs x2APIC", apic);
    } else if (core_count == PV_MAX_CORES) {
        log_line("the core with APIC id %u is left out: Polyvisor knows at most %u", apic, PV_MAX_CORES);
    } else {
        cores[core_count] = (struct core){.id = core_count, .apic_id = apic, .state = PV_CORE_NO_VMX};
        core_count++;
    }
}

uint64_t machine_option_number(const char *key, uint64_t absent)
{
    char text[16];
    uint64_t value = 0;
    if (!config_option(machine.boot.cmdline, key, text, sizeof(text))) {
        return absent;
    }
    for (const char *p = text; *p; p++) {
        if (*p < '0' || *p > '9') {
            log_line("command line: %s=%s: expected a number", key, text);
            return absent;
        }
        value = value * 10 + (uint64_t)(*p - '0');
    }
    return value;
}

void machine_find_cores(void)
{
    cores[0].apic_id = apic_id(); // the rest of cores[0] is in use since entry
    cores[0].bsp = true;
    cores[0].state = PV_CORE_NO_VMX;
    core_count = 1;
    if (machine.acpi.core_count) {
        for (uint32_t i = 0; i < machine.acpi.core_count; i++) {
            add_core(machine.acpi.cores[i]);
        }
    } else {
        for (uint32_t i = 0; i < machine.boot.core_count; i++) {
            if (machine.boot.cores[i].usable) {
                add_core(machine.boot.cores[i].apic_id);
            }
        }
    }
    const char *source = machine.acpi.core_count ? "ACPI" : machine.boot.core_count ? "EFI MP Services" : "nobody";
    log_line("%u core%s, listed by %s", core_count, core_count == 1 ? "" : "s", source);
    if (!machine.acpi.present) {
        log_line("there are no ACPI tables");
    }
    // A core that the firmware lists but that is not there, to see how that is dealt with.
    uint64_t phantom = machine_option_number("phantom-core", UINT64_MAX);
    if (phantom <= UINT32_MAX) {
        add_core((uint32_t)phantom);
    }
    uint64_t limit = machine_option_number("cores", PV_MAX_CORES);
    if (limit >= 1 && limit < core_count) {
        log_line("command line: %lu of %u cores are used", limit, core_count);
        core_count = (uint32_t)limit;
    }
}

/* ---- configuration ---- */

/// Messages and the file's name in them.
static char config_name[BOOT_NAME_SIZE] = "polyvisor.cfg";

static void config_error(const char *message)
{
    machine.config_broken = true;
    size_t used = strlen(machine.config_errors);
    pv_snprintf(machine.config_errors + used, sizeof(machine.config_errors) - used, "%s\n", message);
    log_line("configuration: %s", message);
}

static const char *status_name(uint32_t status)
{
    switch (status) {
    case BOOT_MODULE_ABSENT:
        return "no such file on the boot volume";
    case BOOT_MODULE_READ_ERROR:
        return "reading it failed";
    case BOOT_MODULE_NO_MEMORY:
        return "no memory to load it";
    default:
        return "not loaded";
    }
}

static bool file_exists(void *context, const char *name, char *why, size_t size)
{
    (void)context;
    const struct boot_module *m = machine_module(name);
    uint32_t status = m ? m->status : BOOT_MODULE_ABSENT;
    if (status == BOOT_MODULE_OK) {
        return true;
    }
    pv_snprintf(why, size, "%s", status_name(status));
    if (m && m->firmware_status) {
        size_t used = strlen(why);
        pv_snprintf(why + used, size - used, " (EFI status 0x%lx)", m->firmware_status);
    }
    return false;
}

static uint64_t running_cores(void)
{
    uint64_t mask = 0;
    for (uint32_t i = 0; i < core_count; i++) {
        mask |= cores[i].state != PV_CORE_ABSENT ? UINT64_C(1) << i : 0;
    }
    return mask;
}

/// The file's configuration, or false with a message.
static bool use_file(void)
{
    struct config_error error;
    struct config_machine have = {.cores = running_cores(), .file_exists = file_exists};
    uint64_t reserve = RESERVE;
    uint64_t memory = memmap_total(&machine.memory, PV_MEMORY_FREE);
    if (!machine.boot.config) {
        char message[CONFIG_ERROR_SIZE];
        pv_snprintf(message, sizeof(message), "%s: %s", config_name, status_name(machine.boot.config_status));
        config_error(message);
        return false;
    }
    if (!config_parse(&machine.config, config_name, machine.config_text, machine.config_size, &error) ||
        !config_override(&machine.config, machine.boot.cmdline, &error)) {
        config_error(error.message);
        return false;
    }
    reserve += machine.config.personality_count * AGENT_OVERHEAD;
    have.memory = memory > reserve ? memory - reserve : 1;
    if (!config_check(&machine.config, config_name, &have, &error)) {
        config_error(error.message);
        return false;
    }
    return true;
}

static bool has_monitor(void)
{
    for (uint32_t i = 0; i < machine.config.personality_count; i++) {
        if (machine.config.personalities[i].debug) {
            return true;
        }
    }
    return false;
}

/// The monitor alone, on all cores, from the image that is built in.
static void use_built_in(void)
{
    static const char text[] = "personality monitor { image monitor.elf; memory 16M; debug yes }";
    struct config_error error;
    if (!config_parse(&machine.config, "built-in configuration", text, sizeof(text) - 1, &error)) {
        panic("%s", error.message);
    }
}

void machine_use_built_in(const char *name, const char *why)
{
    char message[CONFIG_ERROR_SIZE];
    pv_snprintf(message, sizeof(message), "%s: personality '%s': %s", config_name, name, why);
    config_error(message);
    log_line("configuration: not used; only the monitor runs");
    use_built_in();
}

void machine_configure(void)
{
    machine.config_text = machine.boot.config ? phys_to_virt(machine.boot.config) : NULL;
    machine.config_size = machine.boot.config ? machine.boot.config_size : 0;
    config_option(machine.boot.cmdline, "config", config_name, sizeof(config_name));
    if (machine.boot.message[0]) {
        log_line("boot loader: %s", machine.boot.message);
    }
    if (use_file() && !has_monitor()) {
        config_error("no personality has 'debug yes', so nobody would own the shell");
    }
    if (machine.config_broken) {
        log_line("configuration: not used; only the monitor runs");
        use_built_in();
    }
    machine.slice_ticks = cpu_scale(machine.config.slice_us, tsc_hz(), 1000000);
}

/* ---- the end ---- */

static struct message stop_messages[PV_MAX_CORES];

static void leave_vmx(struct core *core)
{
    uint64_t before = core->vmxoff_count;
    vmx_disable(core);
    if (core->vmxoff_count != before) {
        trace_vmx(core, false); // read by a debugger, if at all
    }
}

_Noreturn static void stop_here(void)
{
    struct core *core = core_self();
    leave_vmx(core);
    __atomic_store_n(&core->stopped, true, __ATOMIC_RELEASE);
    for (;;) {
        cpu_interrupts_off();
        cpu_halt();
    }
}

static void run_stop(struct message *message)
{
    (void)message;
    stop_here();
}

/// Every other core leaves VMX operation and halts; then this one leaves it too.
static void stop_all(void)
{
    static bool stopping;
    struct core *self = core_self();
    if (__atomic_exchange_n(&stopping, true, __ATOMIC_ACQ_REL)) {
        stop_here();
    }
    for (uint32_t i = 0; i < core_count; i++) {
        if (&cores[i] != self && cores[i].ready) {
            stop_messages[i].run = run_stop;
            message_send(&cores[i], &stop_messages[i]);
        }
    }
    uint64_t end = cpu_rdtsc() + tsc_hz() / 1000000 * STOP_WAIT_US;
    for (uint32_t i = 0; i < core_count; i++) {
        while (&cores[i] != self && cores[i].ready && !__atomic_load_n(&cores[i].stopped, __ATOMIC_ACQUIRE)) {
            if (cpu_rdtsc() > end) {
                log_line("core %u does not stop", i);
                break;
            }
            cpu_pause();
        }
    }
    leave_vmx(self);
    uint64_t vmxon = 0, vmxoff = 0;
    for (uint32_t i = 0; i < core_count; i++) {
        vmxon += cores[i].vmxon_count;
        vmxoff += cores[i].vmxoff_count;
    }
    log_line("all cores stopped: %lu VMXON, %lu VMXOFF", vmxon, vmxoff);
}

void machine_power_off(void)
{
    stop_all();
    log_line("power off");
    console_drain();
    power_off(&machine.acpi);
    log_line("the machine cannot be switched off by software: please use its switch");
    console_drain();
    stop_here();
}

void machine_reboot(void)
{
    stop_all();
    log_line("reboot");
    console_drain();
    power_reset(&machine.acpi);
}
