// SPDX-License-Identifier: Apache-2.0
/// A multiplexer that is only pretended: answers a personality's system calls on the host from what a test puts here.
#ifndef POLYVISOR_TESTS_FAKE_MULTIPLEXER_H
#define POLYVISOR_TESTS_FAKE_MULTIPLEXER_H

#include <stddef.h>
#include <stdint.h>

#include <polyvisor/abi.h>

enum {
    FAKE_CORES = 4,
    FAKE_PERSONALITIES = 4,
    FAKE_REGIONS = 8,
    FAKE_OUTPUT = 1 << 18,
    FAKE_MSRS = 32,
    FAKE_MEMORY = 256
};

/// In typed text: who types pauses here, so that the program sees no further input until it waits for some.
#define PAUSE "\x1c"
/// In typed text: here the multiplexer asks to have the line drawn anew.
#define REDRAW "\x1d"

struct fake_msr {
    uint32_t number;
    uint64_t value;
};

struct fake {
    struct pv_info info;
    struct pv_machine_info machine;
    size_t core_count, personality_count, region_count, msr_count;
    struct pv_core_info cores[FAKE_CORES];
    struct pv_personality_info personalities[FAKE_PERSONALITIES];
    struct pv_memory_info regions[FAKE_REGIONS];
    struct fake_msr msrs[FAKE_MSRS]; ///< every other one does not exist
    uint8_t memory[FAKE_MEMORY];     ///< at physical address 0x1000
    const char *log, *config, *config_errors, *console;
    int64_t control_result; ///< of kill, restart, attach
    // What happened:
    const char *typed; ///< what is left of the input
    char output[FAKE_OUTPUT];
    size_t output_size;
    uint64_t last_operation, last_argument; ///< of the debug calls that change something
};

extern struct fake fake;

/// A machine with two cores in VMX operation and three personalities.
void fake_reset(void);

#endif
