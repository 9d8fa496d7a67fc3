// SPDX-License-Identifier: Apache-2.0
// PAUSE-loop exiting (SDM Vol. 3C 25.6.13 and 26.1.3): a kernel that waits for a processor that has no core, for a lock or an answer
// to an IPI, would use up its own time with that.
#include "cpu.h"
#include "machine.h"

enum {
    VMCS_SECONDARY_CONTROLS = 0x401e,
    VMCS_PLE_GAP = 0x4020,
    VMCS_PLE_WINDOW = 0x4022,
    PAUSE_LOOP_EXITING = 1 << 10,
    GAP = 128,     ///< ticks between two PAUSEs of one loop, at most
    WINDOW = 4096, ///< ticks that a loop may last: more than locks are held by processors that run
};

int64_t pause_loop_enable(const struct cpu *cpu)
{
    struct pv_vmcs_entry entries[] = {{.field = VMCS_PLE_GAP, .value = GAP},
                                      {.field = VMCS_PLE_WINDOW, .value = WINDOW},
                                      {.field = VMCS_SECONDARY_CONTROLS}};
    if (machine.cpu_count == 1)
        return PV_OK;
    const int64_t result = pv_vmcs_write(cpu->vcpu.id, entries, 2);
    if (result < 2 || pv_vmcs_read(cpu->vcpu.id, entries + 2, 1) < 1)
        return result < 0 ? result : PV_OK; // the processor has no such thing
    entries[2].value |= PAUSE_LOOP_EXITING;
    const int64_t written = pv_vmcs_write(cpu->vcpu.id, entries + 2, 1);
    return written < 0 ? written : PV_OK;
}
