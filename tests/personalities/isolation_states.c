// SPDX-License-Identifier: Apache-2.0
// Guests in states that contradict themselves: random control registers, EFER, controls, segments, blocking and events, by the state page
// and by vmcs_write. Entry must work or be refused, and a refusal must name the rule that is broken; nothing else may happen to the
// machine. Arguments: seed=N (default 1), runs=N (2000).
#include "isolation.h"

enum { FIELDS_MAX = 6, TICKS = 500, DEFAULT_RUNS = 2000, SHOWN = 8 };
enum { MODE_V86 = GUEST_LONG + 1, MODE_COMPATIBLE, MODES };
enum { CR0_PE = 1, RFLAGS_VM = 1 << 17, ACCESS_V86 = 0xf3, ACCESS_CODE32 = 0xc09b };

/// VMCS fields that decide about an entry (SDM Vol. 3D appendix B), and bits that mean something in them.
static const struct {
    uint32_t field;
    uint64_t bits;
} fields[] = {
    {0x6800, UINT64_C(0xe005003f)},         // CR0
    {0x6802, UINT64_C(0x00007ffffffff000)}, // CR3
    {0x6804, UINT64_C(0x3727ff)},           // CR4
    {0x2806, 0xd01},                        // EFER
    {0x2806, 0x500},                        // EFER: LME and LMA alone
    {0x4012, UINT32_MAX},                   // entry controls
    {0x4012, 1 << 9},                       // IA-32e mode guest alone
    {0x401e, UINT32_MAX},                   // secondary controls
    {0x401e, 1 << 7},                       // unrestricted guest alone
    {0x4002, UINT32_MAX},                   // primary controls
    {0x4000, UINT32_MAX},                   // pin controls
    {0x400c, UINT32_MAX},                   // exit controls
    {0x4004, UINT32_MAX},                   // exception bitmap
    {0x400a, 0x1ff},                        // CR3-target count
    {0x6820, 0x3f7fd7},                     // RFLAGS
    {0x6820, 1 << 17},                      // RFLAGS: VM alone
    {0x681e, UINT64_MAX},                   // RIP
    {0x681c, UINT64_MAX},                   // RSP
    {0x681a, UINT32_MAX},                   // DR7
    {0x2802, UINT32_MAX},                   // DEBUGCTL
    {0x2804, UINT64_C(0x0707070707070707)}, // PAT
    {0x280a, UINT64_MAX},                   // PDPTE0
    {0x4816, 0x1f0ff},                      // access rights: CS
    {0x4818, 0x1f0ff},                      // SS
    {0x481a, 0x1f0ff},                      // DS
    {0x4814, 0x1f0ff},                      // ES
    {0x481c, 0x1f0ff},                      // FS
    {0x4820, 0x1f0ff},                      // LDTR
    {0x4822, 0x1f0ff},                      // TR
    {0x4802, UINT32_MAX},                   // limit: CS
    {0x4804, UINT32_MAX},                   // SS
    {0x0802, 0xffff},                       // selector: CS
    {0x0804, 0xffff},                       // SS
    {0x080e, 0xffff},                       // TR
    {0x6808, UINT64_MAX},                   // base: CS
    {0x680a, UINT64_MAX},                   // SS
    {0x6810, UINT64_MAX},                   // GS
    {0x6814, UINT64_MAX},                   // TR
    {0x6816, UINT64_MAX},                   // GDTR
    {0x4810, UINT32_MAX},                   // GDTR limit
    {0x4824, 0x1f},                         // interruptibility
    {0x4826, 7},                            // activity
    {0x6822, 0x1ffff},                      // pending debug exceptions
    {0x6824, UINT64_MAX},                   // SYSENTER_ESP
};

static uint64_t random_state;

/// xorshift64*, Vigna 2016.
static uint64_t next(void)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return random_state * UINT64_C(0x2545f4914f6cdd1d);
}

static uint64_t below(uint64_t limit)
{
    return (next() >> 16) % limit;
}

static uint64_t option(const char *args, char letter, uint64_t value)
{
    for (; *args != '\0'; args++) {
        if (args[0] != letter || (args[1] != '=' && args[3] != '=' && args[4] != '='))
            continue;
        while (*args != '=')
            args++;
        for (value = 0, args++; *args >= '0' && *args <= '9'; args++)
            value = value * 10 + (uint64_t)(*args - '0');
        return value;
    }
    return value;
}

/// Some fields of the VMCS: bits flipped, or all of those that mean something replaced.
static void spoil_vmcs(uint64_t vcpu)
{
    struct pv_vmcs_entry entries[FIELDS_MAX];
    const size_t count = 1 + below(FIELDS_MAX);
    for (size_t i = 0; i < count; i++)
        entries[i] = (struct pv_vmcs_entry){.field = fields[below(sizeof(fields) / sizeof(fields[0]))].field};
    pv_vmcs_read(vcpu, entries, count);
    for (size_t i = 0; i < count; i++) {
        uint64_t bits = 0;
        for (size_t f = 0; f < sizeof(fields) / sizeof(fields[0]); f++)
            bits = fields[f].field == entries[i].field && (bits == 0 || below(2)) ? fields[f].bits : bits;
        if (below(2))
            entries[i].value ^= UINT64_C(1) << below(64) & bits;
        else
            entries[i].value = (entries[i].value & ~bits) | (next() & bits);
    }
    pv_vmcs_write(vcpu, entries, count);
}

static void spoil_page(struct pv_vcpu_state *state)
{
    uint64_t *const words[] = {&state->cr0, &state->cr3, &state->cr4, &state->efer, &state->rip, &state->rflags};
    uint64_t *word = words[below(sizeof(words) / sizeof(words[0]))];
    *word ^= UINT64_C(1) << below(below(2) ? 32 : 64);
    state->segment[below(PV_SEGMENTS)].access ^= 1u << below(17);
    state->dirty = (uint32_t)next() & PV_GROUP_ALL;
}

static void spoil_event(struct pv_vcpu_state *state)
{
    state->inject = PV_INJECT_VALID | (uint32_t)(below(2) ? next() & 0xfff : below(8) << 8 | below(32));
    state->inject_error = (uint32_t)below(below(2) ? 16 : UINT32_MAX);
    state->inject_length = (uint32_t)below(20);
}

/// A legal state, or nearly: virtual-8086 mode is also tried without protected mode.
static void start(struct guest *guest, uint64_t mode)
{
    struct pv_vcpu_state *state = guest->vcpu.state;
    static const char halt[] = "\xf4";
    guest_start(guest,
                mode == MODE_V86          ? GUEST_REAL
                : mode == MODE_COMPATIBLE ? GUEST_LONG
                                          : (enum guest_mode)mode,
                halt, halt + 1);
    if (mode == MODE_COMPATIBLE)
        state->segment[PV_CS].access = ACCESS_CODE32;
    if (mode != MODE_V86)
        return;
    for (int i = PV_ES; i <= PV_GS; i++)
        state->segment[i].access = ACCESS_V86;
    state->rflags |= RFLAGS_VM;
    state->cr0 |= below(2) ? CR0_PE : 0;
}

struct counts {
    uint64_t entered, refused, unexplained;
};

static void run_one(struct guest *guest, struct counts *counts)
{
    struct pv_vcpu_state *state = guest->vcpu.state;
    const uint64_t vcpu = guest->vcpu.id;
    if (below(2))
        pv_vcpu_run(vcpu, 1); // takes the state page over: what follows is not overwritten
    for (uint64_t i = below(3); i > 0; i--)
        spoil_vmcs(vcpu);
    if (below(2))
        spoil_page(state);
    else
        state->dirty |= below(2) ? 0 : PV_GROUP_ALL;
    if (below(3) == 0)
        spoil_event(state);
    state->entry_rule[0] = '\0';
    const int64_t result = pv_vcpu_run(vcpu, TICKS);
    counts->entered += result >= 0;
    counts->refused += result == PV_ERR_ENTRY;
    if (result >= 0 || (result == PV_ERR_ENTRY && state->entry_rule[0] != '\0'))
        return;
    if (counts->unexplained++ < SHOWN)
        pv_printf("%s, entry error %#x, no rule\n", pv_error_name(result), state->entry_error);
}

int main(const struct pv_info *info, uint32_t agent)
{
    struct guest guest;
    struct counts counts = {0};
    if (agent != 0)
        return 0;
    const int64_t space = pv_guest_memory_create(&guest.memory, GUEST_SIZE);
    const uint64_t page = pv_pool_alloc(PV_PAGE_SIZE, PV_PAGE_SIZE);
    if (space < 0 || page == PV_POOL_FULL)
        return 2;
    random_state = option(info->args, 's', 1) * UINT64_C(0x9e3779b97f4a7c15) | 1;
    memset(pv_pool_pointer(guest.memory.pool_offset), 0xf4, GUEST_SIZE); // HLT everywhere
    guest.vcpu.state = pv_pool_pointer(page);
    for (uint64_t runs = option(info->args, 'r', DEFAULT_RUNS); runs > 0; runs--) {
        pv_zero_pages(guest.vcpu.state, PV_PAGE_SIZE);
        const int64_t vcpu = pv_vcpu_create(guest.memory.space, page, PV_OWN_REGISTERS);
        if (vcpu < 0)
            return 3;
        guest.vcpu.id = (uint64_t)vcpu;
        start(&guest, below(MODES));
        run_one(&guest, &counts);
        pv_vcpu_destroy(guest.vcpu.id);
    }
    pv_printf("entered %lu, refused %lu\n", counts.entered, counts.refused);
    isolation_check(counts.entered > 0 && counts.refused > 0, "to be only good, or only bad", 0);
    isolation_check(counts.unexplained == 0, "refusals without a rule", (int64_t)counts.unexplained);
    return isolation_verdict();
}
