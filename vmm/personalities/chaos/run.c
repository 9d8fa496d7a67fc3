// SPDX-License-Identifier: Apache-2.0
// Runs guests: in whatever state they are, or the hostile ones from their beginning.
#include "chaos.h"

extern const char image_hostile16[], image_hostile16_end[], image_hostile64[], image_hostile64_end[];

enum { LOAD_ADDRESS = 0x8000, STACK = 0x8000, TABLES = 0x1000, MAX_RUNS = 12, SHORT = 4000, LONG = 60000 };

/// What a personality might do about an exit; seldom what it should.
static void answer_exit(struct player *player, struct pv_vcpu_state *state)
{
    struct random *r = &player->random;
    switch (random_below(r, 8)) {
    case 0:
        state->gpr[random_below(r, PV_GPRS)] = random_nasty(r);
        break;
    case 1:
        pv_inject(state, PV_TYPE_EXCEPTION, (uint8_t)random_below(r, 32));
        break;
    case 2:
        pv_inject(state, PV_TYPE_INTERRUPT, (uint8_t)random_below(r, 256));
        break;
    case 3:
        pv_inject(state, PV_TYPE_NMI, 2);
        break;
    default:
        pv_skip_instruction(state);
        break;
    }
    state->vectoring_info = 0;
}

/// Runs a vcpu a few times.
static void run_some(struct player *player, uint64_t vcpu)
{
    struct random *r = &player->random;
    struct pv_vcpu_state *state = chaos_state(vcpu);
    for (uint64_t i = 1 + random_below(r, MAX_RUNS); i > 0; i--) {
        if (random_chance(r, 3))
            chaos_spoil_state(r, state);
        const uint64_t budget = random_below(r, random_chance(r, 32) ? LONG : SHORT);
        const int64_t result = chaos_call(player, PV_SYS_VCPU_RUN, vcpu, budget, 0, 0, 0);
        player->runs += result >= 0;
        player->refused += result == PV_ERR_ENTRY;
        player->exits += result == PV_RUN_EXIT;
        if (result < 0)
            return;
        if (result == PV_RUN_EXIT)
            answer_exit(player, state);
    }
}

void chaos_run(struct player *player)
{
    run_some(player, chaos_number(player));
}

/// Loads a hostile guest into a memory and has it start there.
static void start_hostile(struct player *player, const struct pv_guest_memory *memory, struct pv_vcpu_state *state)
{
    struct random *r = &player->random;
    if (random_chance(r, 3)) {
        pv_guest_load_image(memory, LOAD_ADDRESS, image_hostile16, image_hostile16_end);
        pv_start_real(state, 0, LOAD_ADDRESS, STACK);
    } else {
        pv_guest_load_image(memory, LOAD_ADDRESS, image_hostile64, image_hostile64_end);
        pv_start_long(state, memory, TABLES, LOAD_ADDRESS, STACK);
    }
    state->inject = 0;
    state->gpr[PV_RDI] = random_next(r) >> 8;
    state->gpr[PV_RSI] = random_next(r) | 1;
}

/// In a new space and vcpu when there can be more, otherwise in what there is.
void chaos_hostile_guest(struct player *player)
{
    struct random *r = &player->random;
    const struct pv_guest_memory memory = {.pool_offset = playground.memories[random_below(r, MEMORIES)],
                                           .size = PV_LARGE_PAGE_SIZE};
    int64_t space = chaos_call(player, PV_SYS_SPACE_CREATE, 0, 0, 0, 0, 0);
    if (space < 0)
        space = (int64_t)random_below(r, NUMBERS);
    chaos_call(player, PV_SYS_SPACE_UNMAP, (uint64_t)space, 0, PV_LARGE_PAGE_SIZE, 0, 0);
    chaos_call(player, PV_SYS_SPACE_MAP, (uint64_t)space, 0, memory.pool_offset, PV_LARGE_PAGE_SIZE,
               PV_ACCESS_ALL | PV_MEMORY_WB << 8);
    int64_t vcpu = chaos_create_vcpu(player, (uint64_t)space);
    if (vcpu < 0)
        vcpu = (int64_t)random_below(r, NUMBERS);
    start_hostile(player, &memory, chaos_state((uint64_t)vcpu));
    run_some(player, (uint64_t)vcpu);
}
