// SPDX-License-Identifier: Apache-2.0
// Source: Intel SDM Vol. 4, table 2-2 (numbers, reserved bits); Vol. 3A 12.11 (MTRRs).
#include "msr.h"

#include <stddef.h>

/// How the values of a range may be written.
enum kind {
    CONSTANT, ///< not at all: #GP
    IGNORED,  ///< writes do nothing
    MASKED,   ///< a value with other bits than those of the mask: #GP
    MTRR,     ///< a pair of base and mask for each
};

struct rule {
    uint32_t first, count;
    enum kind kind;
    uint64_t initial, mask;
};

enum { VARIABLE_MTRRS = 8 };
#define MTRR_LAST UINT64_C(0x000fffffffffffff) ///< physical addresses have 52 bits at most

/// MTRRs are kept for the guest to read back. They decide nothing: the space maps guest memory as write-back (SDM Vol. 3C 29.3.7.2).
static const struct rule rules[] = {
    {0x17, 1, CONSTANT, 0, 0},                           // IA32_PLATFORM_ID
    {0x3a, 1, CONSTANT, 1, 0},                           // IA32_FEATURE_CONTROL: locked, no VMX
    {0x3b, 1, MASKED, 0, 0},                             // IA32_TSC_ADJUST: the TSC is the machine's and stays so
    {0x8b, 1, IGNORED, UINT64_C(0xffffffff00000000), 0}, // IA32_BIOS_SIGN_ID: a microcode that nobody wants to update
    {0xce, 1, CONSTANT, 0, 0},                           // MSR_PLATFORM_INFO
    {0xfe, 1, CONSTANT, 0x500 | VARIABLE_MTRRS, 0},      // IA32_MTRRCAP: write-combining, fixed ranges
    {0x140, 1, MASKED, 0, 0},                            // MSR_MISC_FEATURES_ENABLES: none
    {0x179, 1, CONSTANT, 0, 0},                          // IA32_MCG_CAP: no banks
    {0x17a, 1, MASKED, 0, 0},                            // IA32_MCG_STATUS
    {0x1a0, 1, MASKED, 0x1801, 0x400c51889},             // IA32_MISC_ENABLE: fast strings; no BTS, no PEBS
    {0x1d9, 1, MASKED, 0, 0},                            // IA32_DEBUGCTL: no LBR, no BTF
    {0x200, 2 * VARIABLE_MTRRS, MTRR, 0, 0},
    {0x250, 1, MASKED, UINT64_C(0x0606060606060606), UINT64_MAX},
    {0x258, 2, MASKED, UINT64_C(0x0606060606060606), UINT64_MAX}, // fixed ranges
    {0x268, 8, MASKED, UINT64_C(0x0606060606060606), UINT64_MAX},
    {0x2ff, 1, MASKED, 0xc06, 0xcff}, // IA32_MTRR_DEF_TYPE: enabled, write-back
};

enum { RULES = sizeof(rules) / sizeof(rules[0]) };

static bool keeps(const struct rule *rule)
{
    return rule->kind != CONSTANT && rule->kind != IGNORED;
}

/// The rule for an MSR, and where its value is kept. NULL: there is none.
static const struct rule *find(uint32_t msr, uint32_t *place)
{
    uint32_t at = 0;
    for (size_t i = 0; i < RULES; i++) {
        if (msr >= rules[i].first && msr - rules[i].first < rules[i].count) {
            *place = at + (msr - rules[i].first);
            return *place < MSR_KEPT ? &rules[i] : NULL;
        }
        at += keeps(&rules[i]) ? rules[i].count : 0;
    }
    return NULL;
}

void msr_init(struct msr_file *file)
{
    uint32_t place;
    for (size_t i = 0; i < RULES; i++)
        for (uint32_t k = 0; k < rules[i].count; k++)
            if (keeps(&rules[i]) && find(rules[i].first + k, &place) != NULL)
                file->kept[place] = rules[i].initial;
}

uint32_t msr_table(struct pv_msr_entry *table)
{
    uint32_t count = 0;
    for (size_t i = 0; i < RULES; i++)
        for (uint32_t k = 0; k < rules[i].count && !keeps(&rules[i]) && count < PV_MAX_MSRS; k++)
            table[count++] = (struct pv_msr_entry){.msr = rules[i].first + k, .value = rules[i].initial};
    return count;
}

bool msr_read(const struct msr_file *file, uint32_t msr, uint64_t *value)
{
    uint32_t place;
    const struct rule *rule = find(msr, &place);
    if (rule == NULL)
        return false;
    *value = keeps(rule) ? file->kept[place] : rule->initial;
    return true;
}

static bool valid(const struct rule *rule, uint32_t msr, uint64_t value)
{
    enum { BASE_RESERVED = 0xf00, MASK_RESERVED = 0x7ff };
    if (rule->kind == MTRR)
        return (value & ((msr & 1) == 0 ? BASE_RESERVED : MASK_RESERVED)) == 0 && value <= MTRR_LAST;
    return (value & ~rule->mask) == 0;
}

bool msr_write(struct msr_file *file, uint32_t msr, uint64_t value)
{
    uint32_t place;
    const struct rule *rule = find(msr, &place);
    if (rule == NULL || rule->kind == CONSTANT)
        return false;
    if (rule->kind == IGNORED)
        return true;
    if (!valid(rule, msr, value))
        return false;
    file->kept[place] = value;
    return true;
}
