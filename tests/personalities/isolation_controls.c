// SPDX-License-Identifier: Apache-2.0
// Tries to clear the controls that keep a guest inside (by clearing and by setting every bit of every control field), and to
// write the fields that name physical memory or carry the multiplexer's time. Afterwards a guest must still be caged: by what it
// meets, whatever the controls that can be read say.
#include "isolation.h"

/// Control fields and their bits that must stay set, or stay clear (SDM Vol. 3C 25.6.1, 25.6.2, 25.7.1, 25.8.1).
static const struct {
    const char *name;
    uint32_t field, forced, forbidden;
} controls[] = {
    // external-interrupt exiting, NMI exiting, virtual NMIs, preemption timer; posted interrupts
    {"pin-based controls", 0x4000, 1 << 0 | 1 << 3 | 1 << 5 | 1 << 6, 1 << 7},
    // MWAIT, RDPMC, CR8 load and store, I/O and MSR bitmaps, secondary controls; TPR shadow, tertiary controls
    {"primary controls", 0x4002, 1 << 10 | 1 << 11 | 1 << 19 | 1 << 20 | 1 << 25 | 1 << 28 | 1u << 31,
     1 << 21 | 1 << 17},
    // EPT, VPID, WBINVD; APIC virtualization, VM functions, VMCS shadowing, PML, #VE
    {"secondary controls", 0x401e, 1 << 1 | 1 << 5 | 1 << 6,
     1 << 0 | 1 << 4 | 1 << 8 | 1 << 9 | 1 << 13 | 1 << 14 | 1 << 17 | 1 << 18},
    // save debug controls, host address-space size, acknowledge interrupt, save and load EFER
    {"exit controls", 0x400c, 1 << 2 | 1 << 9 | 1 << 15 | 1 << 20 | 1 << 21, 1 << 12},
    // load debug controls and EFER; SMM, dual-monitor
    {"entry controls", 0x4012, 1 << 2 | 1 << 15, 1 << 10 | 1 << 11},
    // #DB, #AC (whose delivery may never end) and #MC
    {"exception bitmap", 0x4004, 1 << 1 | 1 << 17 | 1 << 18, 0},
};

/// Fields that are the multiplexer's alone: appendix B of SDM Vol. 3D.
static const struct {
    const char *name;
    uint32_t field;
} denied[] = {
    {"VPID", 0x0000},
    {"posted-interrupt vector", 0x0002},
    {"address of I/O bitmap A", 0x2000},
    {"address of I/O bitmap B", 0x2002},
    {"address of the MSR bitmaps", 0x2004},
    {"VM-exit MSR-store address", 0x2006},
    {"VM-exit MSR-load address", 0x2008},
    {"VM-entry MSR-load address", 0x200a},
    {"executive-VMCS pointer", 0x200c},
    {"PML address", 0x200e},
    {"virtual-APIC address", 0x2012},
    {"APIC-access address", 0x2014},
    {"posted-interrupt descriptor address", 0x2016},
    {"VM-function controls", 0x2018},
    {"EPT pointer", 0x201a},
    {"EPTP-list address", 0x2024},
    {"VMREAD-bitmap address", 0x2026},
    {"VMWRITE-bitmap address", 0x2028},
    {"virtualization-exception information address", 0x202a},
    {"sub-page-permission-table pointer", 0x2030},
    {"tertiary controls", 0x2034},
    {"VMCS link pointer", 0x2800},
    {"VM-exit MSR-store count", 0x400e},
    {"VM-exit MSR-load count", 0x4010},
    {"VM-entry MSR-load count", 0x4014},
    {"guest SMBASE", 0x4828},
    {"VMX-preemption timer", 0x482e},
};

/// Attempts at the bars, each of which must end in an exit of its kind.
GUEST_CODE(priority, 64, "cli; mov %cr8, %rax; hlt");
GUEST_CODE(counter, 64, "cli; xor %ecx, %ecx; rdpmc; hlt");
GUEST_CODE(waiter, 64, "cli; xor %eax, %eax; xor %ecx, %ecx; mwait; hlt");
GUEST_CODE(flusher, 64, "cli; wbinvd; hlt");
GUEST_CODE(port, 64, "cli; mov $0x3f8, %dx; out %al, %dx; hlt");
GUEST_CODE(msr, 64, "cli; mov $0x1b, %ecx; rdmsr; hlt");
GUEST_CODE(outsider, 64, "cli; mov 0x300000, %rax; hlt");
GUEST_CODE(vm, 64, "cli; vmcall; hlt");
GUEST_CODE(sitter, 64, "cli; 1: jmp 1b");

static struct guest guest;

static int64_t read_field(uint32_t field, uint64_t *value)
{
    struct pv_vmcs_entry entry = {.field = field};
    pv_vmcs_read(guest.vcpu.id, &entry, 1);
    *value = entry.value;
    return entry.status;
}

static int64_t write_field(uint32_t field, uint64_t value)
{
    struct pv_vmcs_entry entry = {.field = field, .value = value};
    const int64_t written = pv_vmcs_write(guest.vcpu.id, &entry, 1);
    return written < 0 ? written : entry.status;
}

/// Writes a value and looks whether every forced bit is still set and every forbidden one still clear.
static void try_control(const char *name, uint32_t field, uint32_t forced, uint32_t forbidden, uint64_t value)
{
    uint64_t now;
    write_field(field, value);
    const bool readable = read_field(field, &now) == PV_OK;
    pv_printf("%s %#x written, %#lx in force\n", name, (uint32_t)value, now);
    isolation_check(readable && (now & forced) == forced && (now & forbidden) == 0, name, (int64_t)now);
}

static void try_controls(uint64_t value)
{
    for (size_t i = 0; i < sizeof(controls) / sizeof(controls[0]); i++)
        try_control(controls[i].name, controls[i].field, controls[i].forced, controls[i].forbidden, value);
}

static void try_denied(void)
{
    for (size_t i = 0; i < sizeof(denied) / sizeof(denied[0]); i++) {
        isolation_call(denied[i].name, write_field(denied[i].field, 0));
        isolation_call(denied[i].name, write_field(denied[i].field, UINT64_MAX));
        isolation_call(denied[i].name, write_field(denied[i].field, 0x1000));
    }
}

/// With whatever controls there are now.
static void try_guest(void)
{
    enum { EXIT_RDPMC = 15, EXIT_MWAIT = 36, EXIT_WBINVD = 54 };
    static const struct {
        const char *what, *code, *end;
        uint32_t reason;
    } attempts[] = {
        {"the core's task priority", priority, priority_end, PV_EXIT_CR_ACCESS},
        {"performance counters", counter, counter_end, EXIT_RDPMC},
        {"a deep sleep of the core", waiter, waiter_end, EXIT_MWAIT},
        {"writing back all caches", flusher, flusher_end, EXIT_WBINVD},
        {"a port", port, port_end, PV_EXIT_IO},
        {"an MSR", msr, msr_end, PV_EXIT_RDMSR},
        {"memory outside of the space", outsider, outsider_end, PV_EXIT_EPT_VIOLATION},
        {"VMCALL", vm, vm_end, PV_EXIT_VMCALL},
    };
    for (size_t i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++) {
        guest_start(&guest, GUEST_LONG, attempts[i].code, attempts[i].end);
        const int64_t reason = guest_run(&guest);
        isolation_check(reason == attempts[i].reason, attempts[i].what, reason);
    }
    guest_start(&guest, GUEST_LONG, sitter, sitter_end);
    const int64_t result = pv_vcpu_run(guest.vcpu.id, BUDGET);
    isolation_check(result == PV_RUN_BUDGET, "a core kept with interrupts off", result);
}

int main(const struct pv_info *info, uint32_t agent)
{
    (void)info;
    if (agent != 0)
        return 0;
    if (!guest_open(&guest))
        return 2;
    try_controls(0);
    try_controls(UINT32_MAX);
    try_controls(UINT64_MAX);
    for (uint32_t bit = 0; bit < 32; bit++)
        for (size_t i = 0; i < sizeof(controls) / sizeof(controls[0]); i++)
            write_field(controls[i].field, UINT64_C(1) << bit);
    try_controls(0);
    try_denied();
    try_guest();
    return isolation_verdict();
}
