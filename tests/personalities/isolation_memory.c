// SPDX-License-Identifier: Apache-2.0
// A guest reads, writes and executes outside of its space, or against its rights: EPT violations must be delivered, with address and
// kind, and nothing must have happened.
#include "isolation.h"

/// Exit qualification of an EPT violation (SDM Vol. 3C table 28-7).
enum { DID_READ = 1, DID_WRITE = 2, DID_EXECUTE = 4, DID = 7 };

enum {
    OTHER_PAGE = 0x400000, ///< where a page is mapped with fewer rights
    RAX_BEFORE = 0x12345678,
    PATTERN = 0x5a5a5a5a,
    WINDOW = 2 << 20,              ///< linear address whose page table entry this program changes
    WINDOW_ENTRY = 0x3000 + 1 * 8, ///< of pv_start_long's tables, in GUEST_TABLES
    LARGE_WRITABLE = 0x83,
};

GUEST_CODE(reader, 32, "mov (%esi), %eax; hlt");
GUEST_CODE(writer, 32, "mov %eax, (%esi); hlt");
GUEST_CODE(caller, 32, "jmp *%esi");
GUEST_CODE(reader64, 64, "mov (%rsi), %rax; hlt");

static struct guest guest;

static const struct {
    const char *what;
    const char *code, *end;
    uint32_t did;
} accesses[] = {
    {"read", reader, reader_end, DID_READ},
    {"write", writer, writer_end, DID_WRITE},
    {"execution", caller, caller_end, DID_EXECUTE},
};

/// Has the guest access an address; the violation that has to follow, at `gpa`.
static void expect_violation(const char *where, size_t access, uint32_t address, uint64_t gpa)
{
    struct pv_vcpu_state *state = guest.vcpu.state;
    guest_start(&guest, GUEST_PAGED32, accesses[access].code, accesses[access].end);
    state->gpr[PV_RSI] = address;
    state->gpr[PV_RAX] = RAX_BEFORE;
    const int64_t reason = guest_run(&guest);
    const bool violation = reason == PV_EXIT_EPT_VIOLATION && state->guest_physical_address == gpa &&
                           (state->exit_qualification & DID) == accesses[access].did &&
                           state->gpr[PV_RAX] == RAX_BEFORE;
    pv_printf("%s at %#lx: exit %ld, address %#lx, qualification %#lx\n", accesses[access].what, gpa, reason,
              state->guest_physical_address, state->exit_qualification);
    isolation_check(violation, where, reason);
}

static void try_everywhere(void)
{
    static const struct {
        const char *what;
        uint32_t address;
    } places[] = {
        {"behind the guest's memory", GUEST_SIZE}, {"at 1 GiB", 0x40000000},
        {"at the I/O APIC", 0xfec00000},           {"at the local APIC", 0xfee00020},
        {"at the firmware", 0xfffffff0},           {"where the multiplexer's image may be", 0x00400000},
    };
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
        for (size_t a = 0; a < sizeof(accesses) / sizeof(accesses[0]); a++)
            expect_violation(places[i].what, a, places[i].address, places[i].address);
}

/// The lower half of the access is the guest's, the upper is not.
static void try_across_the_end(void)
{
    struct pv_vcpu_state *state = guest.vcpu.state;
    guest_start(&guest, GUEST_PAGED32, writer, writer_end);
    state->gpr[PV_RSI] = GUEST_SIZE - 2;
    const int64_t reason = guest_run(&guest);
    isolation_check(reason == PV_EXIT_EPT_VIOLATION, "a write across the end of the guest's memory", reason);
}

/// A guest's own page tables may name any guest-physical address.
static void try_far_away(void)
{
    static const uint64_t far[] = {UINT64_C(1) << 32, UINT64_C(1) << 36, UINT64_C(1) << 38,
                                   (UINT64_C(1) << 39) - WINDOW};
    for (size_t i = 0; i < sizeof(far) / sizeof(far[0]); i++) {
        guest_start(&guest, GUEST_LONG, reader64, reader64_end);
        uint64_t *entry = pv_guest_pointer(&guest.memory, WINDOW_ENTRY, sizeof(*entry));
        *entry = far[i] | LARGE_WRITABLE;
        guest.vcpu.state->gpr[PV_RSI] = WINDOW;
        const int64_t reason = guest_run(&guest);
        isolation_check(reason == PV_EXIT_EPT_VIOLATION && guest.vcpu.state->guest_physical_address == far[i],
                        "memory far away, by the guest's page tables", reason);
    }
}

static void try_rights(void)
{
    const uint64_t page = pv_pool_alloc(PV_PAGE_SIZE, PV_PAGE_SIZE);
    uint32_t *word = pv_pool_pointer(page);
    const uint64_t space = guest.memory.space;
    *word = PATTERN;
    if (pv_space_map(space, OTHER_PAGE, page, PV_PAGE_SIZE, PV_ACCESS_READ, PV_MEMORY_WB) != PV_OK)
        isolation_check(false, "a map that has to work", 0);
    expect_violation("a page that is read-only", 1, OTHER_PAGE, OTHER_PAGE);
    expect_violation("a page that is not executable", 2, OTHER_PAGE, OTHER_PAGE);
    isolation_check(*word == PATTERN, "changing it", *word);
    pv_space_unmap(space, OTHER_PAGE, PV_PAGE_SIZE);
    for (size_t a = 0; a < sizeof(accesses) / sizeof(accesses[0]); a++)
        expect_violation("a page that was unmapped", a, OTHER_PAGE, OTHER_PAGE);
    isolation_check(*word == PATTERN, "changing it after that", *word);
}

int main(const struct pv_info *info, uint32_t agent)
{
    (void)info;
    if (agent != 0)
        return 0;
    if (!guest_open(&guest))
        return 2;
    try_everywhere();
    try_across_the_end();
    try_far_away();
    try_rights();
    return isolation_verdict();
}
