// SPDX-License-Identifier: Apache-2.0
/*
 * Random bytes from points of time, such as those of a guest's exits, for where there is nothing better. What they are worth depends on
 * the machine: caches, interrupts, other programs and the processor's own clock domains disturb the low bits of the time stamp
 * counter, and nobody has measured by how much. Who can read the same counter shortly before each point of time knows most of
 * it. On an emulator that counts instructions there is nothing random at all, and the tests below need not notice.
 *
 * So: each sample counts as half a bit, health tests stop the output when samples repeat themselves, SHA-256 condenses them.
 * Source of tests and structure: NIST SP 800-90B, 3.1.5 and 4.4.
 */
#ifndef POLYVISOR_DEVICES_ENTROPY_H
#define POLYVISOR_DEVICES_ENTROPY_H

#include <stdbool.h>

#include "devices/sha256.h"

enum {
    ENTROPY_BLOCK = SHA256_SIZE,           ///< bytes that are given out together
    ENTROPY_SAMPLES = 2 * 8 * SHA256_SIZE, ///< what a block costs
    ENTROPY_STARTUP = 1024,                ///< samples that are tested and not counted
    ENTROPY_STORE = 4,                     ///< blocks that are counted at most
    ENTROPY_GATHERED = 8,
};

struct entropy {
    uint8_t pool[SHA256_SIZE];
    uint64_t gathered[ENTROPY_GATHERED]; ///< not in the pool yet
    uint32_t gathered_count;
    uint32_t startup; ///< samples that are still to be tested
    uint32_t credit;  ///< samples
    uint64_t last;
    /* health tests, of the low byte of the time between two samples */
    uint8_t repeated, frequent;
    uint32_t repeats, frequency, window;
    uint32_t failures; ///< of the health tests
};

void entropy_init(struct entropy *e, uint64_t now);
/// Something has happened.
void entropy_sample(struct entropy *e, uint64_t now);
/// Whether entropy_take would give a block.
bool entropy_has_block(const struct entropy *e);
/// Gives a block, if there is one.
bool entropy_take(struct entropy *e, uint8_t block[ENTROPY_BLOCK]);

#endif
