// SPDX-License-Identifier: Apache-2.0
/// The guests that measure (guests.asm), for whatever hypervisor runs them: the bench personality, or KVM (tools/kvm-peer).
#ifndef POLYVISOR_BENCH_IMAGE_H
#define POLYVISOR_BENCH_IMAGE_H

#include <stdint.h>

enum { BENCH_PORT_NEXT = 0xe8, BENCH_PORT_DONE = 0xe9 };

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

#endif
