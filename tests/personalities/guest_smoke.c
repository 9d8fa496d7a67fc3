// SPDX-License-Identifier: Apache-2.0
/// The least that a personality can do with a guest: sixteen bytes of real-mode code, run until they have written a port and halted.
#include <polyvisor/vcpu.h>

#include "personality.h"

enum { GUEST_SIZE = 0x10000, CODE = 0x1000, PORT_EXIT = 30, HLT_EXIT = 12, MAX_EXITS = 16 };

static const uint8_t code[] = {
    0xb8, 0x34, 0x12, // mov ax, 0x1234
    0xba, 0xe9, 0x00, // mov dx, 0xe9
    0xee,             // out dx, al
    0xf4,             // hlt
    0xeb, 0xfd,       // jmp to the hlt
};

static int64_t call(uint64_t number, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4)
{
    int64_t result;
    do {
        result = pv_syscall(number, a0, a1, a2, a3, a4);
    } while (result == PV_ERR_AGAIN);
    return result;
}

int main(const struct pv_info *info, uint32_t agent)
{
    if (agent != 0 || !(info->flags & PV_INFO_VMX)) {
        return 0;
    }
    uint8_t *guest = (uint8_t *)PV_POOL_VA;
    struct pv_vcpu_state *state = (struct pv_vcpu_state *)(PV_POOL_VA + GUEST_SIZE);
    for (uint32_t i = 0; i < sizeof(code); i++) {
        guest[CODE + i] = code[i];
    }
    int64_t space = call(PV_SYS_SPACE_CREATE, 0, 0, 0, 0, 0);
    int64_t mapped = call(PV_SYS_SPACE_MAP, (uint64_t)space, 0, 0, GUEST_SIZE, PV_ACCESS_ALL | PV_MEMORY_WB << 8);
    int64_t vcpu = call(PV_SYS_VCPU_CREATE, (uint64_t)space, GUEST_SIZE, PV_OWN_REGISTERS, 0, 0);
    pv_printf("space %ld, map %ld, vcpu %ld\n", space, mapped, vcpu);
    state->segment[PV_CS] = (struct pv_segment){.limit = 0xffff, .access = 0x9b};
    for (int i = 0; i < PV_SEGMENTS; i++) {
        if (i != PV_CS) {
            state->segment[i] = (struct pv_segment){.limit = 0xffff,
                                                    .access = i == PV_LDTR ? 0x82
                                                              : i == PV_TR ? 0x8b
                                                                           : 0x93};
        }
    }
    state->gdtr.limit = state->idtr.limit = 0xffff;
    state->rip = CODE;
    state->rflags = 2;
    state->dirty = PV_GROUP_RIP | PV_GROUP_FLAGS | PV_GROUP_SEGMENTS;
    for (int i = 0; i < MAX_EXITS; i++) {
        int64_t result = call(PV_SYS_VCPU_RUN, (uint64_t)vcpu, 0, 0, 0, 0);
        pv_printf("run %ld: exit reason %u, qualification 0x%lx, rip 0x%lx, rax 0x%lx, entry error 0x%x\n", result,
                  state->exit_reason, state->exit_qualification, state->rip, state->gpr[PV_RAX], state->entry_error);
        if (result != PV_RUN_EXIT || state->exit_reason == HLT_EXIT) {
            return result == PV_RUN_EXIT ? 0 : 1;
        }
        state->rip += state->exit_instruction_length;
        state->dirty = PV_GROUP_RIP;
    }
    return 2;
}
