// SPDX-License-Identifier: Apache-2.0
// A guest that does nothing but fault, run in short pieces: each fault must come to its handler once, wherever a piece ends.
#include "isolation.h"

enum { PIECE = 997, FAULTS = 100000, WRONG = 0x5e00, COUNT = 0x5e08 };

/// #UD to the handler at 2, which must find its frame at the top of the stack: RSP 0x8000 less five words.
GUEST_CODE(faulter, 64,
           "movq $0x6000, 0x5f02; movw $0xfff, 0x5f00\n"
           "lea 2f(%rip), %rax; mov %ax, 0x6060; movw $0x18, 0x6062; movw $0x8e00, 0x6064; movw $0, 0x6066\n"
           "movl $0, 0x6068; lidt 0x5f00; movq $0, 0x5e00; movq $0, 0x5e08\n"
           "1: mov $0x8000, %rsp; ud2\n"
           "2: cmp $0x7fd8, %rsp; je 3f; incq 0x5e00\n"
           "3: incq 0x5e08; cmpq $100000, 0x5e08; jb 1b; hlt");

static struct guest guest;

int main(const struct pv_info *info, uint32_t agent)
{
    uint64_t pieces = 0;
    (void)info;
    if (agent != 0)
        return 0;
    if (!guest_open(&guest))
        return 2;
    guest_start(&guest, GUEST_LONG, faulter, faulter_end);
    int64_t result;
    while ((result = pv_vcpu_run(guest.vcpu.id, PIECE)) == PV_RUN_BUDGET)
        pieces++;
    const uint64_t *wrong = pv_guest_pointer(&guest.memory, WRONG, 8),
                   *count = pv_guest_pointer(&guest.memory, COUNT, 8);
    pv_printf("%lu faults in %lu pieces, %lu of them wrong\n", *count, pieces, *wrong);
    isolation_check(result == PV_RUN_EXIT && pv_exit_reason(guest.vcpu.state) == PV_EXIT_HLT, "an end", result);
    isolation_check(*count == FAULTS && *wrong == 0, "faults that came to their handler more than once",
                    (int64_t)*wrong);
    return isolation_verdict();
}
