// SPDX-License-Identifier: Apache-2.0
/// What the multiplexer knows of the machine that it runs on. Filled at boot, read-only afterwards.
#ifndef POLYVISOR_MACHINE_H
#define POLYVISOR_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

#include "arch/x86/acpi.h"
#include "boot/boot_info.h"
#include "vmm/config.h"
#include "vmm/memmap.h"

struct machine {
    struct boot_info boot; ///< a copy
    struct memmap memory;
    struct acpi_info acpi;
    struct config config;    ///< in force: the file's, or the built-in one
    const char *config_text; ///< the file's, as it was read
    uint64_t config_size;
    bool config_broken;
    char config_errors[CONFIG_ERROR_SIZE * 2]; ///< one message a line, "" when right
    uint64_t tsc_entry, tsc_ready;
    uint64_t time_entry; ///< seconds since 1970 at tsc_entry; 0: unknown
    uint64_t slice_ticks;
};

extern struct machine machine;

static inline uint64_t machine_tsc_entry(void)
{
    return machine.tsc_entry;
}

/// Cores to use, from the MADT or the loader's list: fills cores[] and core_count.
void machine_find_cores(void);
/// A number that the command line gives as KEY=NUMBER; `absent` when it does not.
uint64_t machine_option_number(const char *key, uint64_t absent);
/// The physical memory map from boot_info: regions, image, modules, configuration.
void machine_map_memory(void);
/// A module by the name that the configuration gives it, or NULL.
const struct boot_module *machine_module(const char *name);
/// Reads, checks and fixes machine.config; falls back to the monitor alone when anything is wrong with it.
void machine_configure(void);

/// Drops the file's configuration after all, with a message about one of its personalities.
void machine_use_built_in(const char *name, const char *why);

/// All other cores leave VMX operation and stop, then this one powers the machine off or resets it. Does not return.
_Noreturn void machine_power_off(void);
_Noreturn void machine_reboot(void);

#endif
