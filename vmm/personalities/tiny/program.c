// SPDX-License-Identifier: Apache-2.0
#include "program.h"

#include "vcpu.h"

/// A guest's memory below its image: page tables and GDT, then the stacks of its vcpus.
enum {
    TABLES = 0x1000,
    STACKS_END = 0x8000,
    STACK_SIZE = 0x1800,
    LOAD_ADDRESS = 0x8000, ///< guests/guest.ld
    MEMORY_REAL = 1 << 20, ///< 4 KiB pages
    MEMORY_LARGE = 2 << 20,
};

#define IMAGE(name) extern const char image_##name[], image_##name##_end[];
IMAGE(real16)
IMAGE(prot32)
IMAGE(long64)
IMAGE(smp64)

const struct program programs[] = {
    {"real16", PROGRAM_REAL, 1, MEMORY_REAL, image_real16, image_real16_end},
    {"prot32", PROGRAM_PAGED32, 1, MEMORY_LARGE, image_prot32, image_prot32_end},
    {"long64", PROGRAM_LONG, 1, MEMORY_LARGE, image_long64, image_long64_end},
    {"smp64", PROGRAM_LONG, 2, MEMORY_LARGE, image_smp64, image_smp64_end},
};
const size_t program_count = sizeof(programs) / sizeof(programs[0]);

const struct program *program_find(const char *name, size_t size)
{
    for (size_t i = 0; i < program_count; i++)
        if (strlen(programs[i].name) == size && strncmp(programs[i].name, name, size) == 0)
            return &programs[i];
    return NULL;
}

bool program_load(const struct program *program, const struct pv_guest_memory *memory)
{
    return pv_guest_load_image(memory, LOAD_ADDRESS, program->image, program->image_end);
}

void program_start(const struct program *program, const struct pv_guest_memory *memory, uint32_t cpu,
                   struct pv_vcpu_state *state)
{
    const uint32_t stack = STACKS_END - cpu * STACK_SIZE;
    switch (program->mode) {
    case PROGRAM_REAL:
        pv_start_real(state, 0, LOAD_ADDRESS, (uint16_t)stack);
        break;
    case PROGRAM_PAGED32:
        pv_start_paged32(state, memory, TABLES, LOAD_ADDRESS, stack);
        break;
    case PROGRAM_LONG:
        pv_start_long(state, memory, TABLES, LOAD_ADDRESS, stack);
        break;
    }
}
