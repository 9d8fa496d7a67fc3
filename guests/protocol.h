// SPDX-License-Identifier: Apache-2.0
/*
 * What a small guest and the personality that runs it have agreed on: ports, interrupts, answers to CPUID and RDMSR.
 * All port accesses are 32 bits wide, but for GUEST_PORT_PRINT.
 */
#ifndef POLYVISOR_GUESTS_PROTOCOL_H
#define POLYVISOR_GUESTS_PROTOCOL_H

#include <stdint.h>

enum guest_port {
    GUEST_PORT_PRINT = 0xe9,      ///< write: a byte of text
    GUEST_PORT_HEARTBEAT = 0x500, ///< write: rounds done so far
    GUEST_PORT_FOUND = 0x504,     ///< write, twice: upper, then lower half of a value that was found wrong
    GUEST_PORT_EXPECTED = 0x508,  ///< write, twice: and of what should have been there
    GUEST_PORT_ERROR = 0x50c,     ///< write: enum guest_error << 16 | index, after the two above
    GUEST_PORT_SEED = 0x510,      ///< read: a number that no other vcpu of the machine has
    GUEST_PORT_CPU = 0x514,       ///< read: index of this vcpu in its guest | number of vcpus << 16
    GUEST_PORT_TIMER = 0x518,     ///< write: wants an interrupt every so many microseconds
    GUEST_PORT_IPI = 0x51c,       ///< write: wants GUEST_VECTOR_IPI in the vcpu with this index
    GUEST_PORT_ECHO = 0x520,      ///< write, anything: work for the personality
};

enum guest_vector { GUEST_VECTOR_TIMER = 0x40, GUEST_VECTOR_IPI = 0x41 };

/// CPUID leaves and MSRs that answer with guest_answer(): so a vcpu notices when it gets another's.
enum guest_number {
    GUEST_LEAF_ABSORBED = 0x40000000,  ///< the personality gives it to the multiplexer
    GUEST_LEAF_DELIVERED = 0x40000001, ///< the personality answers it itself
    GUEST_MSR_ABSORBED = 0x40000010,
    GUEST_MSR_DELIVERED = 0x40000011,
};

/// What a guest may find wrong. The index tells which one, or is 0.
enum guest_error {
    GUEST_ERROR_GPR = 1,     ///< general register, in the processor's numbering
    GUEST_ERROR_FLAGS = 2,   ///< RFLAGS
    GUEST_ERROR_FPU = 3,     ///< x87 register or, from 8 on, control word and MXCSR
    GUEST_ERROR_XMM = 4,     ///< lower half of a vector register
    GUEST_ERROR_YMM = 5,     ///< upper half
    GUEST_ERROR_DR = 6,      ///< debug register
    GUEST_ERROR_CR = 7,      ///< control register; XCR0 as 10
    GUEST_ERROR_TABLE = 8,   ///< base of the GDT (0), IDT (1); limits from 2 on
    GUEST_ERROR_SEGMENT = 9, ///< FS (4), GS (5): selector, or what stands at its base
    GUEST_ERROR_MSR = 10,    ///< lower 16 bits of the MSR's number
    GUEST_ERROR_CPUID = 11,  ///< EAX to EDX of the first leaf (0 to 3)
    GUEST_ERROR_MEMORY = 12, ///< page of the pattern
    GUEST_ERROR_TSC = 13,    ///< went back
    GUEST_ERROR_TIMER = 14,  ///< HLT ended without an interrupt
    GUEST_ERROR_IPI = 15,    ///< did not arrive in the vcpu with this index
    GUEST_ERROR_VECTOR = 16, ///< unexpected interrupt or exception: this vector, at this address
};

/// A number that looks random and that a seed and an index determine (splitmix64, Steele et al. 2014).
static inline uint64_t guest_mix(uint64_t seed, uint64_t index)
{
    uint64_t z = seed + index * UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/// What a CPUID leaf or an MSR of enum guest_number answers: register 0 to 3 of a leaf; an MSR has only 0.
static inline uint64_t guest_answer(uint32_t seed, uint32_t number, uint32_t part)
{
    return guest_mix(seed, (uint64_t)number << 2 | part);
}

#endif
