// SPDX-License-Identifier: Apache-2.0
// A guest reads and writes every port, none of which was granted: every access must be delivered, and none carried out. Then the
// personality asks for ports that the configuration does not give it.
#include "isolation.h"

enum { PORTS = 65536, RAX_BEFORE = 0xa5 };

/// In this order, for each port: IN AL, OUT AL. Then the string forms and 32 bits.
GUEST_CODE(sweeper, 16, "1: in %dx, %al; out %al, %dx; inc %dx; jnz 1b; hlt");
GUEST_CODE(strings, 16,
           "mov $0x3f8, %dx; mov $0x6000, %di; mov $0x6000, %si; mov $4, %cx; rep insb\n"
           "mov $4, %cx; rep outsb; mov $0xcf8, %dx; in %dx, %eax; out %eax, %dx; hlt");

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

int main(const struct pv_info *info, uint32_t agent)
{
    (void)info;
    if (agent != 0)
        return 0;
    if (!guest_open(&guest))
        return 2;
    try_grants();
    sweep();
    try_strings();
    return isolation_verdict();
}
