// SPDX-License-Identifier: Apache-2.0
/// A multiplexer that is only pretended: answers a personality's system calls on the host from what a test puts here.
#ifndef POLYVISOR_TESTS_FAKE_MULTIPLEXER_H
#define POLYVISOR_TESTS_FAKE_MULTIPLEXER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <polyvisor/abi.h>
#include <polyvisor/net.h>
#include <polyvisor/trace.h>

enum {
    FAKE_DEVICES = 2,
    FAKE_CORES = 4,
    FAKE_PERSONALITIES = 4,
    FAKE_REGIONS = 8,
    FAKE_OUTPUT = 1 << 18,
    FAKE_MSRS = 32,
    FAKE_MEMORY = 256,
    FAKE_VCPUS = 4,
    FAKE_AGENTS = 4,
    FAKE_FIELDS = 16,
    FAKE_EVENTS = 512,
};

/// In typed text: who types pauses here, so that the program sees no further input until it waits for some.
#define PAUSE "\x1c"
/// In typed text: here the multiplexer asks to have the line drawn anew.
#define REDRAW "\x1d"
/// In typed text: who types waits here until the program's deadline has passed.
#define SECOND "\x1e"

struct fake_msr {
    uint32_t number;
    uint64_t value;
};

/// A VMCS field of every vcpu.
struct fake_field {
    uint32_t encoding;
    uint64_t value;
    bool lacking; ///< the processor does not have it
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
    struct pv_net_info ports[2];
    uint32_t port_count;
    size_t agent_count, vcpu_count, field_count, device_count;
    struct pv_device devices[FAKE_DEVICES]; ///< of tiny
    struct pv_agent_info agents[FAKE_AGENTS];
    struct pv_vcpu_info vcpus[FAKE_VCPUS];
    struct pv_exit_counts exits[FAKE_VCPUS]; ///< of the vcpu with the same index
    struct fake_field fields[FAKE_FIELDS];   ///< every other one is 0
    uint64_t instruction_error;              ///< the field of that name
    unsigned vmcs_moves;                     ///< so many questions find no vcpu, because it is moving
    struct pv_sched_info sched;
    struct pv_trace_core trace[FAKE_CORES]; ///< of each core
    struct pv_trace_settings trace_settings;
    uint64_t trace_stuck;                      ///< cores that do not follow
    struct pv_trace_event events[FAKE_EVENTS]; ///< the newest ones of core 0, the last of which is number recorded - 1
    void (*second)(void);                      ///< what happens while a deadline passes, or NULL
    const char *log, *config, *config_errors, *console;
    int64_t control_result; ///< of everything that changes something
    // What happened:
    const char *typed; ///< what is left of the input
    char output[FAKE_OUTPUT];
    size_t output_size;
    uint64_t last_operation, last_argument, last_value; ///< of the debug calls that change something
};

extern struct fake fake;

/// A machine with two cores in VMX operation and four personalities; one of them, tiny, has two vcpus.
void fake_reset(void);

#endif
