// SPDX-License-Identifier: Apache-2.0
/// Words of the kernel's command line that are meant for the personality: polyvisor.KEY=VALUE. Linux takes such a word for a
/// parameter of a module that is not there, and ignores it. Pure; host-tested.
#ifndef POLYVISOR_LINUX_OPTIONS_H
#define POLYVISOR_LINUX_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "loaders/image.h"

enum { OPTIONS_WHY = 256, OPTIONS_CPUS_MAX = 16 };

/// The local APIC: by the model alone, or by APIC virtualization, without and with the delivery of interrupts.
enum options_apic { OPTIONS_APIC_SOFTWARE, OPTIONS_APIC_REGISTERS, OPTIONS_APIC_DELIVERY };

/// What the personality's devices shall be.
struct options {
    uint64_t overlay;         ///< bytes for changed blocks of the disk; OPTIONS_DEFAULT: not said
    bool console;             ///< a virtio console besides the serial port
    bool entropy;             ///< an entropy device, with random bytes from points of time
    bool no_x2apic;           ///< local APICs have xAPIC mode only
    uint32_t cpus;            ///< processors; 0: as many as agents
    enum options_apic apic;   ///< at most; without the word all that the processor has
    enum image_protocol boot; ///< IMAGE_UNKNOWN: what the kernel's file is decides
};
#define OPTIONS_DEFAULT UINT64_MAX

/// Reads the words; false: why[OPTIONS_WHY] says which one is wrong.
bool options_parse(const char *args, struct options *options, char *why);

#endif
