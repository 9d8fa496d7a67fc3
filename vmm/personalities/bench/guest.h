// SPDX-License-Identifier: Apache-2.0
/// The guests that measure (guests.asm), and how one is set up.
#ifndef POLYVISOR_BENCH_GUEST_H
#define POLYVISOR_BENCH_GUEST_H

#include "vcpu.h"

enum { BENCH_PORT_NEXT = 0xe8, BENCH_PORT_DONE = 0xe9 };

/// A guest's memory, from address 0 on.
enum {
    BENCH_TABLES = 0x1000,
    BENCH_CODE = BENCH_TABLES + PV_TABLES64_SIZE,
    BENCH_SHARED = BENCH_CODE + PV_PAGE_SIZE, ///< a dword, or struct bench_log
    BENCH_SAMPLES = BENCH_SHARED + PV_PAGE_SIZE,
    BENCH_MEMORY = 0x40000,
};

/// Entries of guests.asm.
extern const char bench_image[], bench_image_end[];
extern const char bench_cpuid[], bench_cpuid_empty[], bench_exit[], bench_exit_empty[], bench_relay[],
    bench_relay_empty[], bench_slice[];

/// A time in which a guest of bench_slice did not run: its last stamp before and its first after.
struct bench_away {
    uint64_t before, after; ///< TSC
};
#define BENCH_NOT_EXACT                                                                                                \
    (UINT64_C(1) << 63) ///< in `after`: some ticks too long, the guest was between two blocks of stamps

enum { BENCH_STAMPS = 128 };

/// At BENCH_SHARED, for bench_slice.
struct bench_log {
    uint64_t start; ///< TSC: times away before that are not kept
    uint64_t end;   ///< TSC: when to finish
    uint64_t gap;   ///< more ticks than this between two stamps: the guest was away
    uint64_t room;  ///< entries that there is room for
    uint64_t count;
    uint64_t times; ///< how often it was away, kept or not
    uint64_t reserved[2];
    uint32_t block[BENCH_STAMPS];
    struct bench_away entries[];
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
