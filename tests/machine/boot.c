// SPDX-License-Identifier: Apache-2.0
/// From nothing to running personalities, in the order of vmm/main.c; and the end of all of them.
#include <elf.h>
#include <string.h>

#include "arch/x86/fpu.h"
#include "arch/x86/paging.h"
#include "arch/x86/registers.h"
#include "arch/x86/vmx/caps.h"
#include "arch/x86/vmx/entry_check.h"
#include "arch/x86/vmx/field_policy.h"
#include "arch/x86/vmx/vmcs.h"
#include "arch/x86/vmx/vmcs_setup.h"
#include "arch/x86/vmx/vmx.h"
#include "machine.h"
#include "vmm/debug_call.h"
#include "vmm/machine.h"
#include "vmm/personality.h"
#include "vmm/sched_state.h"
#include "vmm/space.h"
#include "vmm/trace.h"
#include "vmm/vcpu_table.h"
#include "vmm/version.h"

enum { ENTRY = 0x401000, IMAGE_SIZE = 0x1010, TRIES = 1000, TRACE_KIB = 64 };
#define START_TSC UINT64_C(1000000000)

static uint8_t ram[MACHINE_RAM_SIZE] __attribute__((aligned(PAGE_SIZE_2M)));

/// Two ordinary tenants with grants, and the owner of the debug capability.
static const char config_text[] =
    "slice 100us\n"
    "frame { slot a 50us; slot monitor 50us; slot idle 20us; slot b 50us }\n"
    "personality monitor { image monitor.elf; memory 256K; quota 160K; debug yes }\n"
    "personality a { image a.elf; memory 2240K; quota 160K; weight 100\n"
    "    msr 0x1a0-0x1a7 read; msr 0xc0000105 both; io 0x300-0x31f; io 0x7ff0-0x800f; net lan }\n"
    "personality b { image a.elf; memory 2240K; quota 88K; weight 250; msr 0x1a6 both; net lan }\n";

struct machine machine;
struct vmx_caps vmx_caps;
struct field_table vmx_fields;
uint32_t vmx_timer_shift;
bool vmx_guest_timer = true;
const char version_text[] = "machine";
/// The image is not executed here: only its place in memory counts. monitor_image: linker symbols, as in the multiplexer.
extern const uint8_t monitor_image[], monitor_image_end[];
__asm__(".section .rodata\n"
        ".balign 4096\n"
        ".globl image_start, text_end, rodata_end, image_end\n"
        "image_start: .skip 4096\n"
        "text_end: .skip 4096\n"
        "rodata_end: .skip 4096\n"
        "image_end:\n"
        ".globl monitor_image, monitor_image_end\n"
        "monitor_image: .byte 0\n"
        "monitor_image_end:\n"
        ".text\n");

bool machine_is_ram(uint64_t address, uint64_t size)
{
    return address >= MACHINE_RAM_BASE && address - MACHINE_RAM_BASE < MACHINE_RAM_SIZE &&
           size <= MACHINE_RAM_SIZE - (address - MACHINE_RAM_BASE);
}

/* ---- what arch/x86/vmx/vmx.c and vmm/machine.c would say ---- */

bool vmx_ready(void)
{
    return true;
}

bool vmx_read_any(uint32_t field, uint64_t *value)
{
    return field_table_get(&vmx_fields, field) != FIELD_ABSENT && vmcs_try_read(field, value);
}

struct vmx_processor vmx_processor(void)
{
    return (struct vmx_processor){.physical_bits = 40, .linear_bits = 48, .efer = 0xd01, .debugctl = 0x1dc3};
}

void vmx_unblock_nmi(void) {}

const struct boot_module *machine_module(const char *name)
{
    (void)name;
    return &machine.boot.modules[0];
}

/// Leaves VMX operation and enters its guests by itself: not here.
int64_t debug_baseline(const struct debug_call *call)
{
    (void)call;
    return PV_ERR_UNSUPPORTED;
}

void machine_use_built_in(const char *name, const char *why)
{
    machine_fail("%s: %s", name, why);
}

void machine_reboot(void)
{
    machine_fail("reboot");
}

void machine_power_off(void)
{
    machine_fail("power-off");
}

/* ---- start ---- */

/// Every control may be 1, so that each that must not be can be asked for; what must be 1 is as on real processors.
static void make_caps(void)
{
    vmx_caps = (struct vmx_caps){
        .basic = UINT64_C(0x00d8100000000011),
        .pin = UINT64_C(0x000000ff00000016),
        .primary = UINT64_C(0xfffffffe04006172),
        .secondary = UINT64_C(0x7fffffff00000000),
        .tertiary = 0x1f,
        .exit = UINT64_C(0xffffffff00036dfb),
        .entry = UINT64_C(0x007fffff000011fb),
        .misc = UINT64_C(0x000401e5),
        .ept_vpid = UINT64_C(0xf0106734141),
        .vmfunc = 1,
        .cr0_fixed0 = 0x80000021,
        .cr0_fixed1 = 0xffffffff,
        .cr4_fixed0 = 0x2000,
        .cr4_fixed1 = 0xf77fff,
    };
    field_table_fill(&vmx_fields, &vmx_caps);
    vmx_timer_shift = (uint32_t)(vmx_caps.misc & VMX_MISC_TIMER_SHIFT);
}

/// An image of one page of code.
static void make_image(uint8_t *file)
{
    const Elf64_Ehdr header = {
        .e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
        .e_type = ET_EXEC,
        .e_machine = EM_X86_64,
        .e_version = EV_CURRENT,
        .e_entry = ENTRY,
        .e_phoff = sizeof(header),
        .e_ehsize = sizeof(header),
        .e_phentsize = sizeof(Elf64_Phdr),
        .e_phnum = 2,
    };
    const Elf64_Phdr segments[] = {
        {PT_LOAD, PF_R | PF_X, 0x1000, ENTRY, ENTRY, 0x10, 0x10, 0x1000},
        {PT_NOTE, PF_R, 0x200, 0, 0, 32, 32, 4},
    };
    const Elf64_Nhdr note = {sizeof(PV_NOTE_NAME), sizeof(struct pv_note), PV_NOTE_TYPE};
    const struct pv_note contents = {PV_ABI_VERSION, PV_NEEDS_VMX};
    memcpy(file, &header, sizeof(header));
    memcpy(file + sizeof(header), segments, sizeof(segments));
    memcpy(file + 0x200, &note, sizeof(note));
    memcpy(file + 0x200 + sizeof(note), PV_NOTE_NAME, sizeof(PV_NOTE_NAME));
    memcpy(file + 0x200 + sizeof(note) + 12, &contents, sizeof(contents));
}

static uint64_t alloc(uint64_t size)
{
    uint64_t base =
        memmap_alloc(&machine.memory, size, PAGE_SIZE, 0, UINT64_MAX, PV_MEMORY_MULTIPLEXER, MEMMAP_NO_OWNER);
    MACHINE_CHECK(base, "no memory");
    return base;
}

static void make_cores(void)
{
    core_count = MACHINE_CORES;
    for (uint32_t i = 0; i < MACHINE_CORES; i++) {
        machine_self = i;
        cores[i] = (struct core){
            .id = i,
            .apic_id = i,
            .state = PV_CORE_VMX,
            .bsp = i == 0,
            .alive = true,
            .ready = true,
            .main_stack = stack_top_of(cpu_stack_pointer()),
            .xcr0 = fpu_features(),
        };
        cores[i].main_stack->core = &cores[i];
        machine_cores[i] = (struct machine_core){
            .now.xcr0 = fpu_features(),
            .cr0 = UINT64_C(0x80050033) | CR0_TS,
            .cr4 = UINT64_C(0x3726a0),
            .timer = UINT64_MAX,
            .gdt_narrow = true,
        };
        sched_init_core();
    }
    machine_self = 0;
}

static void make_memory(void)
{
    physmap_offset = (uint64_t)ram - MACHINE_RAM_BASE;
    memmap_init(&machine.memory);
    memmap_add(&machine.memory, MACHINE_RAM_BASE, MACHINE_RAM_SIZE, PV_MEMORY_FREE, MEMMAP_NO_OWNER);
    paging_init(&machine.memory, alloc(4 * PAGE_SIZE));
    physmap_offset = (uint64_t)ram - MACHINE_RAM_BASE; // there is no physmap
    for (uint32_t i = 1; i < MACHINE_CORES; i++) {
        machine_self = i;
        core_load_root(&cores[i], paging_kernel_root());
    }
    machine_self = 0;
    struct boot_module *module = &machine.boot.modules[0];
    *module = (struct boot_module){.base = alloc(IMAGE_SIZE), .size = IMAGE_SIZE};
    make_image(phys_to_virt(module->base));
    machine.boot.module_count = 1;
}

void machine_boot(void)
{
    struct config_error error;
    MACHINE_CHECK(config_parse(&machine.config, "machine.cfg", config_text, sizeof(config_text) - 1, &error), "%s",
                  error.message);
    machine.config_text = config_text;
    machine.config_size = sizeof(config_text) - 1;
    make_caps();
    console_init();
    make_cores();
    make_memory();
    trace_init(&machine.memory, TRACE_KIB);
    vcpu_table_init();
    vmcs_setup_init(alloc(PAGE_SIZE), alloc(PAGE_SIZE));
    space_init();
    console_start(true);
    machine.slice_ticks = cpu_scale(machine.config.slice_us, MACHINE_TSC_HZ, 1000000);
    sched_configure(machine.slice_ticks);
    personality_create_all();
    machine_stop();
}

/* ---- stop and start ---- */

static bool all_ended(void)
{
    for (uint32_t i = 0; i < personality_count; i++) {
        if (personalities[i].state != PV_STATE_KILLED && personalities[i].state != PV_STATE_EXITED &&
            personalities[i].state != PV_STATE_FAULTED) {
            return false;
        }
    }
    return true;
}

static void check_nothing_left(void)
{
    for (uint32_t i = 0; i < MACHINE_CORES; i++) {
        const struct sched *s = cores[i].sched;
        machine_self = i;
        MACHINE_CHECK(!machine_interrupt(i), "a message is left");
        MACHINE_CHECK(machine_place(i) == MACHINE_IDLE && !s->current, "somebody runs still");
        MACHINE_CHECK(!s->deadlines.first && !s->deadlines.last, "somebody waits still");
        MACHINE_CHECK(!s->level1.occupied && !s->level1.current, "somebody is runnable still");
        MACHINE_CHECK(!cores[i].current_vcpu && !cores[i].loaded_registers, "a vcpu's state is left");
        MACHINE_CHECK(machine_cores[i].vmcs == 0, "a VMCS is current still");
        MACHINE_CHECK(cores[i].loaded_root == paging_kernel_root(), "an address space is left");
    }
    MACHINE_CHECK(!machine_vmcs_any_active(0), "the VMCS at 0x%lx is active still", machine_vmcs_any_active(0));
}

void machine_run_messages(void)
{
    bool any = true;
    for (uint32_t tries = 0; any; tries++) {
        MACHINE_CHECK(tries < TRIES, "messages without end");
        any = false;
        for (uint32_t i = 0; i < MACHINE_CORES; i++) {
            any = machine_interrupt(i) || any;
        }
    }
}

/// In ring 0 of core 0, wherever that is: by an interrupt.
static void on_core_0(void (*run)(struct message *message))
{
    static struct message message;
    message.run = run;
    message_post(&cores[0], &message);
    machine_run_messages();
}

static void stop_all(struct message *message)
{
    (void)message;
    for (uint32_t i = 0; i < personality_count; i++) {
        personality_stop(&personalities[i], PV_STATE_KILLED, NULL);
    }
}

void machine_stop(void)
{
    machine.config.personalities[0].debug = false; // otherwise the monitor would start again
    on_core_0(stop_all);
    on_core_0(stop_all); // one that the monitor was restarting
    machine.config.personalities[0].debug = true;
    MACHINE_CHECK(all_ended(), "somebody could not be stopped");
    check_nothing_left();
}

static void reset_settings(struct message *message)
{
    (void)message;
    sched_set_policy(PV_POLICY_WEIGHTED, cpu_scale(machine.config.slice_us, MACHINE_TSC_HZ, 1000000));
    console_attach(&personalities[0].console);
    for (uint32_t i = 0; i < personality_count; i++) {
        struct personality *p = &personalities[i];
        p->cores = 0;
        for (uint32_t a = 0; a < p->agent_count; a++) { // as at boot: they may have been moved
            sched_init_agent(&p->agents[a], &cores[a]);
            p->cores |= UINT64_C(1) << a;
        }
        personality_set_weight(p, p->config->weight);
    }
}

static void start_all(struct message *message)
{
    (void)message;
    for (uint32_t i = 0; i < personality_count; i++) {
        struct personality *p = &personalities[i];
        MACHINE_CHECK(personality_restart(p), "%s does not start: %s", p->config->name, p->why);
    }
}

void machine_start(void)
{
    machine_clear_touched();
    machine_tlb_reset();
    machine_tsc = START_TSC;
    for (uint32_t i = 0; i < MACHINE_CORES; i++) {
        machine_self = i;
        machine_cores[i].timer = UINT64_MAX;
        sched_init_core();
    }
    machine_self = 0;
    machine.slice_ticks = cpu_scale(machine.config.slice_us, MACHINE_TSC_HZ, 1000000);
    sched_configure(machine.slice_ticks);
    on_core_0(reset_settings);
    on_core_0(start_all);
}
