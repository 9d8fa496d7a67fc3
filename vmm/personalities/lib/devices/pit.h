// SPDX-License-Identifier: Apache-2.0
/// The 8254 timer of a PC, with port B: channel 0 interrupts, channel 2 is gated and read through port 0x61.
#ifndef POLYVISOR_DEVICES_PIT_H
#define POLYVISOR_DEVICES_PIT_H

#include "devices/device.h"

enum { PIT_FIRST_PORT = 0x40, PIT_LAST_PORT = 0x43, PIT_PORT_B = 0x61, PIT_HZ = 1193182 };

struct pit_channel {
    uint64_t start;   ///< tick at which counting began
    uint32_t reload;  ///< 1 to 65536
    uint16_t pending; ///< low byte written, the high one not yet
    uint16_t latched;
    uint8_t mode;   ///< 0 to 5
    uint8_t access; ///< 1: low byte, 2: high byte, 3: both
    uint8_t status; ///< latched
    bool bcd, gate, loaded, high_next_write, high_next_read, count_latched, status_latched;
};

struct pit {
    struct pit_channel channel[3];
    uint64_t hz;               ///< ticks a second
    uint64_t next;             ///< next edge of channel 0's output
    uint8_t port_b;            ///< bits that are kept: gate 2, speaker
    struct dev_line interrupt; ///< channel 0's output
};

void pit_init(struct pit *pit, uint64_t hz, struct dev_line interrupt);

/// When pit_advance has to be called next, or DEV_NEVER.
uint64_t pit_deadline(const struct pit *pit);
/// Raises channel 0's output if it is due. Periods that passed unseen are one interrupt, like those of a busy machine.
void pit_advance(struct pit *pit, uint64_t now);

/// Accesses to ports 0x40 to 0x43 and 0x61.
uint8_t pit_read(struct pit *pit, uint16_t port, uint64_t now);
void pit_write(struct pit *pit, uint16_t port, uint8_t value, uint64_t now);

#endif
