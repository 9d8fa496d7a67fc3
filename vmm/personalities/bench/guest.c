// SPDX-License-Identifier: Apache-2.0
#include "guest.h"

static bool failed(const char *what, int64_t result)
{
    pv_printf("bench: error: %s: %s\n", what, pv_error_name(result));
    return false;
}

bool bench_guest_open(struct bench_guest *guest)
{
    const int64_t result = pv_guest_memory_create(&guest->memory, BENCH_MEMORY);
    if (result < 0)
        return failed("guest memory", result);
    pv_guest_load(&guest->memory, BENCH_CODE, bench_image, (size_t)(bench_image_end - bench_image));
    return bench_guest_share(guest, guest);
}

bool bench_guest_share(struct bench_guest *guest, const struct bench_guest *first)
{
    guest->memory = first->memory;
    const int64_t result = pv_vcpu_open(&guest->vcpu, guest->memory.space);
    return result >= 0 || failed("vcpu", result);
}

void bench_guest_start(struct bench_guest *guest, const char *entry, uint64_t samples, uint32_t count, uint32_t leaf)
{
    struct pv_vcpu_state *state = guest->vcpu.state;
    pv_start_long(state, &guest->memory, BENCH_TABLES, BENCH_CODE + (uint64_t)(entry - bench_image), 0);
    state->gpr[PV_RDI] = samples;
    state->gpr[PV_RBP] = count;
    state->gpr[PV_RBX] = BENCH_SHARED;
    state->gpr[PV_R9] = leaf;
}

static bool wrote_port(const struct pv_vcpu_state *state, uint64_t port)
{
    enum { PORT_SHIFT = 16 }; // the part of pv_io_decode that is needed here
    return pv_exit_reason(state) == PV_EXIT_IO && state->exit_qualification >> PORT_SHIFT == port;
}

/// Runs a guest up to its next exit. True: it was the one that is measured.
static inline bool step(const struct pv_vcpu *vcpu, int64_t *result)
{
    *result = pv_vcpu_run(vcpu->id, 0);
    if (*result != PV_RUN_EXIT || !wrote_port(vcpu->state, BENCH_PORT_NEXT))
        return false;
    pv_skip_instruction(vcpu->state);
    return true;
}

/// Whether a guest's last exit was its end. If not, it says what it was.
static bool has_finished(const struct pv_vcpu *vcpu, int64_t result)
{
    if (result != PV_RUN_EXIT)
        return failed("vcpu_run", result);
    if (wrote_port(vcpu->state, BENCH_PORT_DONE))
        return true;
    pv_printf("bench: error: unexpected exit: %s at %#lx\n", pv_exit_name(pv_exit_reason(vcpu->state)),
              vcpu->state->rip);
    return false;
}

bool bench_guest_run(const struct bench_guest *guest)
{
    const struct pv_vcpu vcpu = guest->vcpu;
    int64_t result;
    while (step(&vcpu, &result)) {
    }
    return has_finished(&vcpu, result);
}

bool bench_guest_run_in_turn(const struct bench_guest *first, const struct bench_guest *second)
{
    const struct pv_vcpu a = first->vcpu, b = second->vcpu;
    int64_t result;
    do {
        if (!step(&a, &result)) { // it finishes first
            if (!has_finished(&a, result))
                return false;
            step(&b, &result);
            break;
        }
    } while (step(&b, &result));
    return has_finished(&b, result);
}
