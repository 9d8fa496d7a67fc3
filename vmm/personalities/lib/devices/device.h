// SPDX-License-Identifier: Apache-2.0
/*
 * What the models of a PC's devices share. They are pure: a model gets accesses, points of time and signals, and
 * answers with values, signals on its lines, and the time at which it next wants to be looked at. Host-tested.
 *
 * Time is counted in ticks of the TSC. Nothing here locks: whoever has several processors calls one at a time.
 */
#ifndef POLYVISOR_DEVICES_DEVICE_H
#define POLYVISOR_DEVICES_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <polyvisor/string.h>

#define DEV_NEVER UINT64_MAX ///< a deadline that does not come

/// A wire from a device to an input of another one, such as an interrupt request.
struct dev_line {
    void (*set)(void *context, uint32_t number, bool high);
    void *context;
    uint32_t number; ///< which of the other's inputs
};

/// A line that goes nowhere has no function.
static inline void dev_line_set(const struct dev_line *line, bool high)
{
    if (line->set != NULL)
        line->set(line->context, line->number, high);
}

/// The guest's memory, for devices that transfer data themselves. It never moves, and other processors change it meanwhile.
struct dev_memory {
    /// Where `size` bytes at a guest-physical address can be accessed; NULL when they are not all the guest's memory.
    void *(*at)(void *context, uint64_t address, uint64_t size);
    void *context;
};

/// Copies between a device and the guest's memory. What was read is read once: the compiler knows that it may have changed.
static inline void dev_copy(void *to, const void *from, size_t size)
{
#ifdef POLYVISOR_HOST // where the address sanitizer shall look on
    memcpy(to, from, size);
    __asm__ volatile("" : : : "memory");
#else
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size) : : "memory");
#endif
}

/// value * to / from, rounded down, without overflow on the way; saturates when the result needs more than 64 bits.
static inline uint64_t dev_scale(uint64_t value, uint64_t to, uint64_t from)
{
    uint64_t high, low, quotient, remainder;
    __asm__("mulq %3" : "=a"(low), "=d"(high) : "a"(value), "r"(to) : "cc");
    if (high >= from)
        return UINT64_MAX;
    __asm__("divq %4" : "=a"(quotient), "=d"(remainder) : "a"(low), "d"(high), "r"(from) : "cc");
    return quotient;
}

/// The same, rounded up: the first tick at which so many of the other clock's have passed.
static inline uint64_t dev_scale_up(uint64_t value, uint64_t to, uint64_t from)
{
    const uint64_t whole = dev_scale(value, to, from);
    return whole != UINT64_MAX && dev_scale(whole, from, to) < value ? whole + 1 : whole;
}

#endif
