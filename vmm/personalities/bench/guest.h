// SPDX-License-Identifier: Apache-2.0
/// How the guests that measure (image.h) are set up and run.
#ifndef POLYVISOR_BENCH_GUEST_H
#define POLYVISOR_BENCH_GUEST_H

#include "image.h"
#include "vcpu.h"

/// A guest's memory, from address 0 on.
enum {
    BENCH_TABLES = 0x1000,
    BENCH_CODE = BENCH_TABLES + PV_TABLES64_SIZE,
    BENCH_SHARED = BENCH_CODE + PV_PAGE_SIZE, ///< a dword, or struct bench_log
    BENCH_SAMPLES = BENCH_SHARED + PV_PAGE_SIZE,
    BENCH_MEMORY = 0x40000,
};

struct bench_guest {
    struct pv_guest_memory memory;
    struct pv_vcpu vcpu;
};

/// Memory and a vcpu on this agent's core. False: it says why.
bool bench_guest_open(struct bench_guest *guest);
/// One more vcpu in a guest's memory.
bool bench_guest_share(struct bench_guest *guest, const struct bench_guest *first);
/// The vcpu is to begin at an entry of guests.asm, its registers to hold where `count` samples go, and what they are about.
void bench_guest_start(struct bench_guest *guest, const char *entry, uint64_t samples, uint32_t count, uint32_t leaf);
/// Runs a guest until it has finished. False: it says why not.
bool bench_guest_run(const struct bench_guest *guest);
/// Runs two guests in turn, the other one after each exit, until both have finished.
bool bench_guest_run_in_turn(const struct bench_guest *first, const struct bench_guest *second);

#endif
