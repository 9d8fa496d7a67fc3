// SPDX-License-Identifier: Apache-2.0
// Names spaces and vcpus that it has not made, while another personality (args "victim") has some and runs a guest in them; and asks
// for what only the debug capability may do. The victim's guest counts in its memory; when something is typed on its console, the
// victim ends, with code 0 if the count only ever grew and everything was still there.
#include "isolation.h"

enum { MAX_NUMBER = 200, VICTIM_SPACES = 4, COUNTER = 0x7000 };

GUEST_CODE(counting_guest, 16, "1: addl $1, 0x7000; jmp 1b");

static const uint64_t wild[] = {UINT64_C(0x100),   UINT64_C(0xffff), UINT32_MAX,
                                UINT64_C(1) << 32, INT64_MAX,        UINT64_MAX};

static void expect_all_refused(const char *what, uint64_t number, uint64_t call, uint64_t a1, uint64_t a2, uint64_t a3,
                               uint64_t a4)
{
    const int64_t result = pv_syscall(call, number, a1, a2, a3, a4);
    if (result < 0)
        return; // hundreds of lines tell nobody anything: one for all follows
    pv_printf("NOT refused: %s %lu answered %ld\n", what, number, result);
    isolation_failures++;
}

/// Every call that takes a space or a vcpu, for a number that is none of this personality's.
static void try_number(uint64_t n)
{
    struct pv_vmcs_entry field = {.field = 0x681e}; // guest RIP
    const struct pv_cpuid_entry leaf = {.leaf = 0};
    const struct pv_msr_entry msr = {.msr = 0x10};
    const uint64_t rights = PV_ACCESS_ALL | PV_MEMORY_WB << 8;
    expect_all_refused("space_map", n, PV_SYS_SPACE_MAP, 0x40000000, 0, PV_PAGE_SIZE, rights);
    expect_all_refused("space_unmap", n, PV_SYS_SPACE_UNMAP, 0, GUEST_SIZE, 0, 0);
    expect_all_refused("space_destroy", n, PV_SYS_SPACE_DESTROY, 0, 0, 0, 0);
    expect_all_refused("vcpu_create in space", n, PV_SYS_VCPU_CREATE, 0, PV_OWN_REGISTERS, 0, 0);
    expect_all_refused("vcpu_run", n, PV_SYS_VCPU_RUN, 1000, 0, 0, 0);
    expect_all_refused("vcpu_move", n, PV_SYS_VCPU_MOVE, 0, 0, 0, 0);
    expect_all_refused("vcpu_kick", n, PV_SYS_VCPU_KICK, 0, 0, 0, 0);
    expect_all_refused("vmcs_read", n, PV_SYS_VMCS_READ, (uintptr_t)&field, 1, 0, 0);
    expect_all_refused("vmcs_write", n, PV_SYS_VMCS_WRITE, (uintptr_t)&field, 1, 0, 0);
    expect_all_refused("vcpu_cpuid", n, PV_SYS_VCPU_CPUID, (uintptr_t)&leaf, 1, 0, 0);
    expect_all_refused("vcpu_msrs", n, PV_SYS_VCPU_MSRS, (uintptr_t)&msr, 1, 0, 0);
    expect_all_refused("msr_allow", n, PV_SYS_MSR_ALLOW, 0x10, 1, PV_GRANT_NONE, 0);
    expect_all_refused("io_allow", n, PV_SYS_IO_ALLOW, 0x80, 1, PV_GRANT_NONE, 0);
    expect_all_refused("vcpu_destroy", n, PV_SYS_VCPU_DESTROY, 0, 0, 0, 0);
}

/// Everything that the monitor may do to others, with arguments that would be right for it.
static void try_debug(const struct pv_info *info)
{
    static uint64_t buffer[PV_PAGE_SIZE / sizeof(uint64_t)];
    enum { OPERATIONS = 64 };
    uint32_t answered = 0;
    for (uint64_t operation = 0; operation < OPERATIONS; operation++)
        for (uint64_t other = 0; other <= info->id + 1; other++)
            answered +=
                pv_syscall(PV_SYS_DEBUG, operation, other, 0x681e, (uintptr_t)buffer, sizeof(buffer)) != PV_ERR_DENIED;
    isolation_check(answered == 0, "the debug capability", answered);
}

static int attack(const struct pv_info *info)
{
    try_debug(info);
    for (uint64_t n = 0; n < MAX_NUMBER; n++)
        try_number(n);
    for (size_t i = 0; i < sizeof(wild) / sizeof(wild[0]); i++)
        try_number(wild[i]);
    isolation_check(isolation_failures == 0, "all calls on spaces and vcpus of others", isolation_failures);
    const int64_t space = pv_space_create();
    for (uint64_t n = 0; n < MAX_NUMBER && space >= 0; n++)
        expect_all_refused("sharing registers of vcpu", (uint64_t)space, PV_SYS_VCPU_CREATE, 0, n, 0, 0);
    isolation_check(isolation_failures == 0, "sharing a register file of others", isolation_failures);
    return isolation_verdict();
}

/// Runs a guest that counts; it must never lose anything.
static int stand_by(void)
{
    struct guest guest;
    char key;
    uint32_t last = 0;
    for (int i = 0; i < VICTIM_SPACES; i++)
        pv_space_create();
    if (!guest_open(&guest))
        return 2;
    const uint32_t *counter = pv_guest_pointer(&guest.memory, COUNTER, sizeof(*counter));
    guest_start(&guest, GUEST_REAL, counting_guest, counting_guest_end);
    pv_printf("stands by\n");
    while (pv_console_read(&key, 1) == 0) {
        const int64_t result = pv_vcpu_run(guest.vcpu.id, BUDGET / 20);
        if (result != PV_RUN_BUDGET || *counter <= last) {
            pv_printf("disturbed: vcpu_run %ld, exit reason %u, count %u after %u\n", result,
                      pv_exit_reason(guest.vcpu.state), *counter, last);
            return 1;
        }
        last = *counter;
    }
    pv_printf("undisturbed: counted to %u\n", last);
    return 0;
}

int main(const struct pv_info *info, uint32_t agent)
{
    if (agent != 0)
        return 0;
    return strcmp(info->args, "victim") == 0 ? stand_by() : attack(info);
}
