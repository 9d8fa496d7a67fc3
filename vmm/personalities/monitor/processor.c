// SPDX-License-Identifier: Apache-2.0
#include "processor.h"

#include <polyvisor/string.h>

const struct processor_leaf_number processor_leaf_numbers[PROCESSOR_LEAVES] = {
    [LEAF_0] = {0x0, 0},         [LEAF_1] = {0x1, 0},         [LEAF_5] = {0x5, 0},         [LEAF_6] = {0x6, 0},
    [LEAF_7_0] = {0x7, 0},       [LEAF_7_1] = {0x7, 1},       [LEAF_7_2] = {0x7, 2},       [LEAF_D_1] = {0xd, 1},
    [LEAF_15] = {0x15, 0},       [LEAF_X0] = {0x80000000, 0}, [LEAF_X1] = {0x80000001, 0}, [LEAF_X2] = {0x80000002, 0},
    [LEAF_X3] = {0x80000003, 0}, [LEAF_X4] = {0x80000004, 0}, [LEAF_X7] = {0x80000007, 0}, [LEAF_X8] = {0x80000008, 0},
};

bool processor_has_leaf(const struct processor *processor, enum processor_leaf leaf)
{
    const struct processor_leaf_number number = processor_leaf_numbers[leaf];
    const bool extended = number.leaf >= 0x80000000;
    const uint32_t highest = processor->leaves[extended ? LEAF_X0 : LEAF_0].eax;
    if (number.leaf != 7)
        return number.leaf <= highest;
    // Leaf 7 tells how many subleaves it has.
    return number.leaf <= highest && (number.subleaf == 0 || number.subleaf <= processor->leaves[LEAF_7_0].eax);
}

/// Family and model as software counts them (SDM Vol. 2A, CPUID, figure 3-6).
static void decode_signature(struct processor *processor)
{
    enum { FAMILY_EXTENDED = 15, FAMILY_P6 = 6 };
    const uint32_t signature = processor->leaves[LEAF_1].eax;
    processor->stepping = signature & 0xf;
    processor->model = signature >> 4 & 0xf;
    processor->family = signature >> 8 & 0xf;
    if (processor->family == FAMILY_EXTENDED || processor->family == FAMILY_P6)
        processor->model |= signature >> 12 & 0xf0;
    if (processor->family == FAMILY_EXTENDED)
        processor->family += signature >> 20 & 0xff;
}

static void decode_names(struct processor *processor)
{
    const struct pv_cpuid *zero = &processor->leaves[LEAF_0];
    memcpy(processor->vendor, &zero->ebx, 4);
    memcpy(processor->vendor + 4, &zero->edx, 4);
    memcpy(processor->vendor + 8, &zero->ecx, 4);
    processor->vendor[12] = '\0';
    _Static_assert(LEAF_X4 == LEAF_X2 + 2, "the brand string stands in three neighbouring leaves");
    memcpy(processor->brand, &processor->leaves[LEAF_X2], 48);
    processor->brand[48] = '\0';
}

void processor_decode(struct processor *processor)
{
    decode_signature(processor);
    decode_names(processor);
    processor->intel = strcmp(processor->vendor, "GenuineIntel") == 0;
    processor->physical_bits = processor->leaves[LEAF_X8].eax & 0xff;
    processor->linear_bits = processor->leaves[LEAF_X8].eax >> 8 & 0xff;
}

bool processor_has(const struct processor *processor, const struct processor_feature *feature)
{
    const struct pv_cpuid *leaf = &processor->leaves[feature->leaf];
    const uint32_t registers[] = {leaf->eax, leaf->ebx, leaf->ecx, leaf->edx};
    return registers[feature->in] >> feature->bit & 1;
}

bool processor_has_named(const struct processor *processor, const char *name)
{
    for (size_t i = 0; i < processor_feature_count; i++)
        if (strcmp(processor_features[i].name, name) == 0)
            return processor_has(processor, &processor_features[i]);
    return false;
}

const struct processor_feature processor_features[] = {
    {"vmx", LEAF_1, REGISTER_ECX, 5},
    {"smx", LEAF_1, REGISTER_ECX, 6},
    {"hypervisor", LEAF_1, REGISTER_ECX, 31}, // this is not bare hardware
    {"nx", LEAF_X1, REGISTER_EDX, 20},
    {"1gb-pages", LEAF_X1, REGISTER_EDX, 26},
    {"smep", LEAF_7_0, REGISTER_EBX, 7},
    {"smap", LEAF_7_0, REGISTER_EBX, 20},
    {"umip", LEAF_7_0, REGISTER_ECX, 2},
    {"pku", LEAF_7_0, REGISTER_ECX, 3},
    {"pks", LEAF_7_0, REGISTER_ECX, 31},
    {"cet-ss", LEAF_7_0, REGISTER_ECX, 7},
    {"cet-ibt", LEAF_7_0, REGISTER_EDX, 20},
    {"la57", LEAF_7_0, REGISTER_ECX, 16},
    {"lam", LEAF_7_1, REGISTER_EAX, 26},
    {"pcid", LEAF_1, REGISTER_ECX, 17},
    {"invpcid", LEAF_7_0, REGISTER_EBX, 10},
    {"pge", LEAF_1, REGISTER_EDX, 13},
    {"pat", LEAF_1, REGISTER_EDX, 16},
    {"mtrr", LEAF_1, REGISTER_EDX, 12},
    {"mca", LEAF_1, REGISTER_EDX, 14},
    {"apic", LEAF_1, REGISTER_EDX, 9},
    {"x2apic", LEAF_1, REGISTER_ECX, 21},
    {"tsc-deadline", LEAF_1, REGISTER_ECX, 24},
    {"arat", LEAF_6, REGISTER_EAX, 2}, // the APIC timer runs in deep sleep too
    {"invariant-tsc", LEAF_X7, REGISTER_EDX, 8},
    {"tsc-adjust", LEAF_7_0, REGISTER_EBX, 1},
    {"rdtscp", LEAF_X1, REGISTER_EDX, 27},
    {"monitor", LEAF_1, REGISTER_ECX, 3},
    {"waitpkg", LEAF_7_0, REGISTER_ECX, 5},
    {"sep", LEAF_1, REGISTER_EDX, 11},
    {"syscall", LEAF_X1, REGISTER_EDX, 11},
    {"long-mode", LEAF_X1, REGISTER_EDX, 29},
    {"fred", LEAF_7_1, REGISTER_EAX, 17},
    {"uintr", LEAF_7_0, REGISTER_EDX, 5},
    {"fsgsbase", LEAF_7_0, REGISTER_EBX, 0},
    {"erms", LEAF_7_0, REGISTER_EBX, 9},
    {"fsrm", LEAF_7_0, REGISTER_EDX, 4},
    {"xsave", LEAF_1, REGISTER_ECX, 26},
    {"xsaveopt", LEAF_D_1, REGISTER_EAX, 0},
    {"xsavec", LEAF_D_1, REGISTER_EAX, 1},
    {"xsaves", LEAF_D_1, REGISTER_EAX, 3},
    {"avx", LEAF_1, REGISTER_ECX, 28},
    {"avx2", LEAF_7_0, REGISTER_EBX, 5},
    {"avx512f", LEAF_7_0, REGISTER_EBX, 16},
    {"amx-tile", LEAF_7_0, REGISTER_EDX, 24},
    {"mpx", LEAF_7_0, REGISTER_EBX, 14},
    {"aes", LEAF_1, REGISTER_ECX, 25},
    {"rdrand", LEAF_1, REGISTER_ECX, 30},
    {"rdseed", LEAF_7_0, REGISTER_EBX, 18},
    {"hle", LEAF_7_0, REGISTER_EBX, 4},
    {"rtm", LEAF_7_0, REGISTER_EBX, 11},
    {"sgx", LEAF_7_0, REGISTER_EBX, 2},
    {"intel-pt", LEAF_7_0, REGISTER_EBX, 25},
    {"hybrid", LEAF_7_0, REGISTER_EDX, 15},
    {"bus-lock-detect", LEAF_7_0, REGISTER_ECX, 24},
    {"md-clear", LEAF_7_0, REGISTER_EDX, 10},
    {"ibrs", LEAF_7_0, REGISTER_EDX, 26}, // and IBPB
    {"stibp", LEAF_7_0, REGISTER_EDX, 27},
    {"l1d-flush", LEAF_7_0, REGISTER_EDX, 28},
    {"arch-capabilities", LEAF_7_0, REGISTER_EDX, 29},
    {"core-capabilities", LEAF_7_0, REGISTER_EDX, 30},
    {"ssbd", LEAF_7_0, REGISTER_EDX, 31},
    {"bhi-ctrl", LEAF_7_2, REGISTER_EDX, 4},
};
const size_t processor_feature_count = sizeof(processor_features) / sizeof(processor_features[0]);
