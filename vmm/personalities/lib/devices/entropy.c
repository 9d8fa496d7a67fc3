// SPDX-License-Identifier: Apache-2.0
#include "devices/entropy.h"

#include <polyvisor/string.h>

/// Cut-offs for half a bit a sample and false alarms once in 2^20 (SP 800-90B, 4.4.1 and 4.4.2).
enum { REPEATS_LIMIT = 41, WINDOW = 512, FREQUENCY_LIMIT = 410 };

/// What else is hashed with the pool, so that what is given out and what stays have nothing to do with each other.
enum { TAG_STIR = 0, TAG_OUTPUT = 1, TAG_KEEP = 2 };

void entropy_init(struct entropy *e, uint64_t now)
{
    *e = (struct entropy){.last = now, .startup = ENTROPY_STARTUP};
}

/// The pool becomes a digest of itself and what has been gathered.
static void digest(struct entropy *e, uint8_t tag, uint8_t *to)
{
    struct {
        uint8_t pool[SHA256_SIZE];
        uint64_t gathered[ENTROPY_GATHERED];
        uint64_t tag;
    } all = {.tag = tag};
    memcpy(all.pool, e->pool, sizeof(all.pool));
    memcpy(all.gathered, e->gathered, sizeof(all.gathered));
    sha256(&all, sizeof(all), to);
}

/// The repetition count and the adaptive proportion test. False: too regular.
static bool is_healthy(struct entropy *e, uint8_t value)
{
    e->repeats = value == e->repeated ? e->repeats + 1 : 1;
    e->repeated = value;
    if (e->window == 0) {
        e->frequent = value;
        e->frequency = 0;
        e->window = WINDOW;
    }
    e->frequency += value == e->frequent;
    e->window--;
    return e->repeats < REPEATS_LIMIT && e->frequency < FREQUENCY_LIMIT;
}

void entropy_sample(struct entropy *e, uint64_t now)
{
    const bool good = is_healthy(e, (uint8_t)(now - e->last));
    e->last = now;
    e->gathered[e->gathered_count++] = now;
    if (e->gathered_count == ENTROPY_GATHERED) {
        digest(e, TAG_STIR, e->pool);
        e->gathered_count = 0;
    }
    if (!good) { // everything begins anew
        e->failures++;
        e->credit = 0;
        e->startup = ENTROPY_STARTUP;
        e->repeats = e->window = 0;
    } else if (e->startup > 0) {
        e->startup--;
    } else if (e->credit < ENTROPY_STORE * ENTROPY_SAMPLES) {
        e->credit++;
    }
}

bool entropy_has_block(const struct entropy *e)
{
    return e->credit >= ENTROPY_SAMPLES;
}

bool entropy_take(struct entropy *e, uint8_t block[ENTROPY_BLOCK])
{
    if (!entropy_has_block(e))
        return false;
    digest(e, TAG_OUTPUT, block);
    digest(e, TAG_KEEP, e->pool);
    e->credit -= ENTROPY_SAMPLES;
    return true;
}
