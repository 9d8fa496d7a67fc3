// SPDX-License-Identifier: Apache-2.0
// A guest reads and writes every port, none of which was granted: every access must be delivered, and none carried out. The
// personality asks for ports that the configuration does not give it. With the argument "granted" it has 0x80 and 0x300 to 0x303:
// these its guest can get, and no others.
#include "isolation.h"

enum { PORTS = 65536, RAX_BEFORE = 0xa5 };

/// In this order, for each port: IN AL, OUT AL. Then the string forms and 32 bits.
GUEST_CODE(sweeper, 16, "1: in %dx, %al; out %al, %dx; inc %dx; jnz 1b; hlt");
GUEST_CODE(strings, 16,
           "mov $0x3f8, %dx; mov $0x6000, %di; mov $0x6000, %si; mov $4, %cx; rep insb\n"
           "mov $4, %cx; rep outsb; mov $0xcf8, %dx; in %dx, %eax; out %eax, %dx; hlt");

/// As many ports as CX says, from the one in DX on.
GUEST_CODE(user, 16, "1: in %dx, %al; out %al, %dx; inc %dx; loop 1b; hlt");

static struct guest guest;

/// Whether the guest stands at an access of this kind to this port, with its registers untouched.
static bool stands_at(uint32_t port, bool in, int64_t reason)
{
    const struct pv_vcpu_state *state = guest.vcpu.state;
    const struct pv_io io = pv_io_decode(state->exit_qualification);
    return reason == PV_EXIT_IO && io.port == port && io.in == in && io.size == 1 && !io.string &&
           (state->gpr[PV_RAX] & 0xff) == RAX_BEFORE;
}

static void sweep(void)
{
    uint32_t passed = 0;
    guest_start(&guest, GUEST_REAL, sweeper, sweeper_end);
    guest.vcpu.state->gpr[PV_RAX] = RAX_BEFORE;
    guest.vcpu.state->gpr[PV_RDX] = 0;
    for (uint32_t access = 0; access < 2 * PORTS; access++) {
        const int64_t reason = guest_run(&guest);
        if (!stands_at(access / 2, access % 2 == 0, reason) && passed++ < 8)
            pv_printf("port %#x: exit %ld, qualification %#lx\n", access / 2, reason,
                      guest.vcpu.state->exit_qualification);
        pv_skip_instruction(guest.vcpu.state);
    }
    isolation_check(passed == 0, "IN and OUT of every port", passed);
    const int64_t reason = guest_run(&guest);
    isolation_check(reason == PV_EXIT_HLT, "anything but the sweep's end", reason);
}

static void try_strings(void)
{
    static const struct {
        const char *what;
        uint16_t port;
        bool in, string;
    } wanted[] = {
        {"INS", 0x3f8, true, true},
        {"OUTS", 0x3f8, false, true},
        {"IN of 32 bits", 0xcf8, true, false},
        {"OUT of 32 bits", 0xcf8, false, false},
    };
    guest_start(&guest, GUEST_REAL, strings, strings_end);
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        const int64_t reason = guest_run(&guest);
        const struct pv_io io = pv_io_decode(guest.vcpu.state->exit_qualification);
        isolation_check(reason == PV_EXIT_IO && io.port == wanted[i].port && io.in == wanted[i].in &&
                            io.string == wanted[i].string,
                        wanted[i].what, reason);
        pv_skip_instruction(guest.vcpu.state);
    }
}

static void try_grants(void)
{
    const uint64_t vcpu = guest.vcpu.id;
    const uint32_t both = PV_GRANT_READ | PV_GRANT_WRITE;
    uint32_t granted = 0;
    for (uint32_t port = 0; port < PORTS; port++)
        granted += pv_io_allow(vcpu, port, 1, both) >= 0;
    isolation_check(granted == 0, "a grant of any single port", granted);
    isolation_call("a grant of all ports", pv_io_allow(vcpu, 0, PORTS, both));
    isolation_call("a grant to read COM1", pv_io_allow(vcpu, 0x3f8, 8, PV_GRANT_READ));
    isolation_call("a grant of more ports than there are", pv_io_allow(vcpu, 0, PORTS + 1, both));
    isolation_call("a grant of a port beyond the last", pv_io_allow(vcpu, PORTS, 1, both));
    isolation_call("a grant that wraps", pv_syscall(PV_SYS_IO_ALLOW, vcpu, UINT64_MAX, 2, both, 0));
    isolation_call("a grant of so many that it wraps", pv_syscall(PV_SYS_IO_ALLOW, vcpu, 0x3f8, UINT64_MAX, both, 0));
    isolation_call("a grant of a third kind", pv_io_allow(vcpu, 0x3f8, 1, 7));
}

/// How many accesses exit when a guest reads and writes `count` ports.
static uint32_t exits(struct guest *who, uint16_t first, uint16_t count)
{
    struct pv_vcpu_state *state = who->vcpu.state;
    guest_start(who, GUEST_REAL, user, user_end);
    state->gpr[PV_RDX] = first;
    state->gpr[PV_RCX] = count;
    for (uint32_t exits = 0;; exits++) {
        const int64_t reason = guest_run(who);
        if (reason == PV_EXIT_HLT)
            return exits;
        if (reason != PV_EXIT_IO)
            return UINT32_MAX;
        pv_skip_instruction(state);
    }
}

static void expect_exits(const char *what, uint16_t first, uint16_t count, uint32_t expected)
{
    const uint32_t found = exits(&guest, first, count);
    isolation_check(found == expected, what, found);
}

/// With 0x80 and 0x300 to 0x303 in the configuration.
static void try_what_was_granted(void)
{
    static struct guest other;
    const uint64_t vcpu = guest.vcpu.id;
    const uint32_t both = PV_GRANT_READ | PV_GRANT_WRITE;
    expect_exits("a port that was granted, but not opened", 0x80, 1, 2);
    isolation_check(pv_io_allow(vcpu, 0x80, 1, both) == PV_OK && pv_io_allow(vcpu, 0x300, 4, both) == PV_OK,
                    "a grant that has to work", 0);
    isolation_call("a port more behind it", pv_io_allow(vcpu, 0x80, 2, both));
    isolation_call("a port more before it", pv_io_allow(vcpu, 0x7f, 2, both));
    isolation_call("a range that is too long", pv_io_allow(vcpu, 0x300, 5, both));
    expect_exits("more than the port that was opened", 0x7f, 3, 4);
    expect_exits("more than the range that was opened", 0x2fc, 12, 16);
    if (guest_open(&other)) {
        const uint32_t found = exits(&other, 0x80, 1);
        isolation_check(found == 2, "a port that was opened for another guest", found);
    }
    pv_io_allow(vcpu, 0x80, 1, PV_GRANT_NONE);
    expect_exits("a port that was closed again", 0x80, 1, 2);
}

int main(const struct pv_info *info, uint32_t agent)
{
    if (agent != 0)
        return 0;
    if (!guest_open(&guest))
        return 2;
    if (info->args[0] != '\0') {
        try_what_was_granted();
        return isolation_verdict();
    }
    try_grants();
    sweep();
    try_strings();
    return isolation_verdict();
}
