// SPDX-License-Identifier: Apache-2.0
// Guests that begin in different modes, with and without the control 'unrestricted guest'. Without it the processor enters no guest with
// protection or paging off (SDM Vol. 3C 27.3.1.1): one that runs so has never been in real mode. Prints a line for each.
#include "isolation.h"

enum { SECONDARY_CONTROLS = 0x401e, UNRESTRICTED = 1 << 7, PORT = 0xe9, CR0_PE = 1, EFER_LMA = 1 << 10 };
#define CR0_PG (UINT64_C(1) << 31)
#define MAGIC UINT64_C(0x0123456789abcdef)

/* Each says where it is by its very first instruction, which means something else in other modes; then what its control registers are. */
GUEST_CODE(
    in_64_bits, 64,
    "mov $0x0123456789abcdef, %r8; mov %cr0, %rbx; mov $0xc0000080, %ecx; rdmsr; mov %eax, %esi; out %al, $0xe9");
GUEST_CODE(in_32_bits, 32,
           "mov $0x89abcdef, %edi; mov %cr0, %ebx; mov $0xc0000080, %ecx; rdmsr; mov %eax, %esi; out %al, $0xe9");
GUEST_CODE(in_16_bits, 16,
           "mov $0xcdef, %di; mov %cr0, %ebx; mov $0xc0000080, %ecx; rdmsr; mov %eax, %esi; out %al, $0xe9");

static const struct {
    const char *name;
    enum guest_mode mode;
    const char *code, *end;
    uint64_t magic; ///< what the first instruction leaves in R8 (64 bits) or DI
} modes[] = {
    {"long", GUEST_LONG, in_64_bits, in_64_bits_end, MAGIC},
    {"paged32", GUEST_PAGED32, in_32_bits, in_32_bits_end, MAGIC &UINT32_MAX},
    {"real", GUEST_REAL, in_16_bits, in_16_bits_end, MAGIC &UINT16_MAX},
};

static bool set_unrestricted(uint64_t vcpu, bool wanted)
{
    struct pv_vmcs_entry entry = {.field = SECONDARY_CONTROLS};
    if (pv_vmcs_read(vcpu, &entry, 1) < 0)
        return false;
    entry.value = wanted ? entry.value | UNRESTRICTED : entry.value & ~(uint64_t)UNRESTRICTED;
    if (pv_vmcs_write(vcpu, &entry, 1) < 0 || pv_vmcs_read(vcpu, &entry, 1) < 0)
        return false;
    return ((entry.value & UNRESTRICTED) != 0) == wanted; // it can be refused
}

static bool run(size_t mode, bool unrestricted)
{
    struct guest guest;
    if (!guest_open(&guest))
        return false;
    struct pv_vcpu_state *state = guest.vcpu.state;
    guest_start(&guest, modes[mode].mode, modes[mode].code, modes[mode].end);
    if (!set_unrestricted(guest.vcpu.id, unrestricted)) {
        pv_printf("entry: cannot set 'unrestricted guest' to %d\n", unrestricted);
        return false;
    }
    const int64_t result = guest_run(&guest);
    if (result == PV_ERR_ENTRY) {
        pv_printf("entry: mode=%s unrestricted=%d refused: %s\n", modes[mode].name, unrestricted, state->entry_rule);
    } else {
        const uint64_t magic = modes[mode].mode == GUEST_LONG ? state->gpr[PV_R8] : state->gpr[PV_RDI];
        pv_printf("entry: mode=%s unrestricted=%d exit=%ld first=%d pe=%d pg=%d lma=%d\n", modes[mode].name,
                  unrestricted, result, magic == modes[mode].magic, (state->gpr[PV_RBX] & CR0_PE) != 0,
                  (state->gpr[PV_RBX] & CR0_PG) != 0, (state->gpr[PV_RSI] & EFER_LMA) != 0);
    }
    pv_vcpu_destroy(guest.vcpu.id);
    return true;
}

int main(const struct pv_info *info, uint32_t agent)
{
    (void)info;
    bool done = true;
    for (size_t i = 0; agent == 0 && done && i < 2 * sizeof(modes) / sizeof(modes[0]); i++)
        done = run(i / 2, i % 2);
    return agent == 0 && !done;
}
