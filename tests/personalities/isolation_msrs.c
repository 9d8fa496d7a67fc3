// SPDX-License-Identifier: Apache-2.0
// A guest reads and writes every MSR of the two ranges that bitmaps know, and some outside of them. All but those that are the
// guest's own (VM entry and exit, or the register file, switch them) must be delivered. The personality asks for MSRs that the
// configuration does not give it. With the argument "granted" it has the TSC (0x10), to read: that its guest can get, and no more.
#include "isolation.h"

enum { RANGE = 0x2000 };
#define HIGH UINT32_C(0xc0000000)

GUEST_CODE(reader, 64, "rdmsr; hlt");
GUEST_CODE(writer, 64, "wrmsr; hlt");

static struct guest guest;

/// SYSENTER's three, PAT, EFER, STAR, LSTAR, SFMASK, segment bases, TSC_AUX.
static bool is_own(uint32_t msr)
{
    static const uint32_t own[] = {0x174,      0x175,      0x176,      0x277,      0xc0000080, 0xc0000081,
                                   0xc0000082, 0xc0000084, 0xc0000100, 0xc0000101, 0xc0000102, 0xc0000103};
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
        if (own[i] == msr)
            return true;
    return false;
}

/// Whether an access exits. The guest is left where the next one can start.
static bool exits(const char *code, const char *end, uint32_t msr, uint32_t reason)
{
    struct pv_vcpu_state *state = guest.vcpu.state;
    static const char *loaded;
    if (loaded != code) {
        guest_start(&guest, GUEST_LONG, code, end);
        loaded = code;
    }
    state->rip = GUEST_CODE_AT;
    state->dirty |= PV_GROUP_RIP;
    state->gpr[PV_RCX] = msr;
    state->gpr[PV_RAX] = state->gpr[PV_RDX] = 0;
    return guest_run(&guest) == reason;
}

static void sweep(const char *what, const char *code, const char *end, uint32_t reason)
{
    static const uint32_t starts[] = {0, HIGH, 0x40000000, UINT32_MAX - RANGE + 1};
    uint32_t passed = 0;
    for (size_t range = 0; range < sizeof(starts) / sizeof(starts[0]); range++) {
        for (uint32_t i = 0; i < RANGE; i++) {
            const uint32_t msr = starts[range] + i;
            if (is_own(msr) || exits(code, end, msr, reason) || passed++ >= 8)
                continue;
            pv_printf("MSR %#x: %s was not delivered, exit %u\n", msr, what, pv_exit_reason(guest.vcpu.state));
        }
    }
    isolation_check(passed == 0, what, passed);
}

static void try_grants(void)
{
    const uint64_t vcpu = guest.vcpu.id;
    const uint32_t both = PV_GRANT_READ | PV_GRANT_WRITE;
    uint32_t granted = 0;
    for (uint32_t i = 0; i < RANGE; i++) {
        granted += !is_own(i) && pv_msr_allow(vcpu, i, 1, PV_GRANT_READ) >= 0;
        granted += !is_own(HIGH + i) && pv_msr_allow(vcpu, HIGH + i, 1, PV_GRANT_WRITE) >= 0;
    }
    isolation_check(granted == 0, "a grant of any single MSR", granted);
    isolation_call("writes of STAR, of which the multiplexer keeps a copy", pv_msr_allow(vcpu, 0xc0000081, 1, both));
    isolation_call("a grant of all low MSRs", pv_msr_allow(vcpu, 0, RANGE, both));
    isolation_call("a grant across the end of a range", pv_msr_allow(vcpu, RANGE - 1, 2, both));
    isolation_call("a grant beyond the ranges", pv_msr_allow(vcpu, 0x40000000, 1, both));
    isolation_call("a grant that wraps", pv_syscall(PV_SYS_MSR_ALLOW, vcpu, UINT64_MAX, 2, both, 0));
    isolation_call("a grant of so many that it wraps", pv_syscall(PV_SYS_MSR_ALLOW, vcpu, 0x10, UINT64_MAX, both, 0));
    isolation_call("a grant of a third kind", pv_msr_allow(vcpu, 0x10, 1, 7));
}

static void expect_exit(const char *what, uint32_t msr, bool write)
{
    const bool found =
        write ? exits(writer, writer_end, msr, PV_EXIT_WRMSR) : exits(reader, reader_end, msr, PV_EXIT_RDMSR);
    isolation_check(found, what, msr);
}

/// With 0x10, read, in the configuration.
static void try_what_was_granted(void)
{
    const uint64_t vcpu = guest.vcpu.id;
    expect_exit("an MSR that was granted, but not opened", 0x10, false);
    isolation_check(pv_msr_allow(vcpu, 0x10, 1, PV_GRANT_READ) == PV_OK, "a grant that has to work", 0);
    isolation_check(exits(reader, reader_end, 0x10, PV_EXIT_HLT) && guest.vcpu.state->gpr[PV_RAX] != 0,
                    "no more than that: the guest reads the TSC", (int64_t)guest.vcpu.state->gpr[PV_RAX]);
    isolation_call("writing what may be read", pv_msr_allow(vcpu, 0x10, 1, PV_GRANT_READ | PV_GRANT_WRITE));
    isolation_call("an MSR more", pv_msr_allow(vcpu, 0x10, 2, PV_GRANT_READ));
    expect_exit("writing it", 0x10, true);
    expect_exit("the MSR before it", 0xf, false);
    expect_exit("the MSR behind it", 0x11, false);
    expect_exit("the same number in the other range", HIGH + 0x10, false);
    pv_msr_allow(vcpu, 0x10, 1, PV_GRANT_NONE);
    expect_exit("an MSR that was closed again", 0x10, false);
}

int main(const struct pv_info *info, uint32_t agent)
{
    if (agent != 0)
        return 0;
    if (!guest_open(&guest))
        return 2;
    guest.vcpu.state->fill = 0;
    if (info->args[0] != '\0') {
        try_what_was_granted();
        return isolation_verdict();
    }
    try_grants();
    sweep("RDMSR", reader, reader_end, PV_EXIT_RDMSR);
    sweep("WRMSR", writer, writer_end, PV_EXIT_WRMSR);
    return isolation_verdict();
}
