// SPDX-License-Identifier: Apache-2.0
/// A processor as CPUID and a few MSRs describe it: identity, features, and the weaknesses that apply. Pure.
#ifndef POLYVISOR_MONITOR_PROCESSOR_H
#define POLYVISOR_MONITOR_PROCESSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <polyvisor/abi.h>

/// The CPUID leaves that are looked at, with their subleaf.
enum processor_leaf {
    LEAF_0,
    LEAF_1,
    LEAF_5,
    LEAF_6,
    LEAF_7_0,
    LEAF_7_1,
    LEAF_7_2,
    LEAF_D_1,
    LEAF_15,
    LEAF_X0, ///< 0x80000000
    LEAF_X1,
    LEAF_X2,
    LEAF_X3,
    LEAF_X4,
    LEAF_X7,
    LEAF_X8,
    PROCESSOR_LEAVES
};
struct processor_leaf_number {
    uint32_t leaf, subleaf;
};
extern const struct processor_leaf_number processor_leaf_numbers[PROCESSOR_LEAVES];

struct processor {
    struct pv_cpuid leaves[PROCESSOR_LEAVES]; ///< zero where the processor does not have the leaf
    uint64_t arch_capabilities;               ///< IA32_ARCH_CAPABILITIES, 0 where there is none
    // What follows is made by processor_decode.
    char vendor[13];
    char brand[49];
    uint32_t family, model, stepping;
    uint32_t physical_bits, linear_bits; ///< 0: not told
    bool intel;
};

/// Whether a leaf can be asked for, given leaves 0 and 0x80000000.
bool processor_has_leaf(const struct processor *processor, enum processor_leaf leaf);
/// Works out identity and address widths from the leaves.
void processor_decode(struct processor *processor);

enum processor_register { REGISTER_EAX, REGISTER_EBX, REGISTER_ECX, REGISTER_EDX };

struct processor_feature {
    const char *name; ///< as in the SDM, in small letters
    enum processor_leaf leaf;
    enum processor_register in;
    uint8_t bit;
};
extern const struct processor_feature processor_features[];
extern const size_t processor_feature_count;
bool processor_has(const struct processor *processor, const struct processor_feature *feature);
/// False also for a name that is not in the table.
bool processor_has_named(const struct processor *processor, const char *name);

/// Something that is wrong with some processors.
struct processor_weakness {
    const char *name;
    bool (*applies)(const struct processor *processor);
    const char *meaning; ///< one line: what follows for a hypervisor
};
extern const struct processor_weakness processor_weaknesses[];
extern const size_t processor_weakness_count;

/// Names of the bits of IA32_ARCH_CAPABILITIES; NULL where a bit has none.
const char *processor_arch_capability(unsigned bit);

#endif
