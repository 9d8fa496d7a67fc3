// SPDX-License-Identifier: Apache-2.0
// A vcpu's prepared answers to CPUID and RDMSR: what is found is what a list of the same entries would give.
// stand-ins: tests/machine
// links: vmm/vcpu_table.c vmm/quota.c vmm/lib/string.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86/paging.h"
#include "random.h"
#include "vmm/personality.h"
#include "vmm/vcpu.h"
#include "vmm/vcpu_table.h"

enum { QUOTA_PAGES = 3, ROUNDS = 300, PROBES = 600 };

uint64_t physmap_offset;

/* ---- what the table asks for ---- */

static bool readable = true;

bool user_copy_in(void *to, uint64_t from, uint64_t size)
{
    if (readable && size) {
        memcpy(to, (const void *)from, size);
    }
    return readable;
}

int64_t vcpu_why_not(const struct agent *agent, uint64_t number)
{
    (void)agent;
    return number == 1 ? PV_ERR_STATE : PV_ERR_NOT_FOUND;
}

void cpu_pause(void)
{
    fail_msg("a lock is taken twice");
}

static struct personality owner;
static struct agent *agent;
static struct vcpu *vcpu;
static void *pages;

static int setup(void **state)
{
    (void)state;
    pages = aligned_alloc(PAGE_SIZE, QUOTA_PAGES * PAGE_SIZE);
    quota_init(&owner.quota, (uint64_t)pages, QUOTA_PAGES * PAGE_SIZE, pages);
    agent = aligned_alloc(64, sizeof(*agent));
    vcpu = aligned_alloc(64, (sizeof(*vcpu) + 63) / 64 * 64);
    memset(agent, 0, sizeof(*agent));
    memset(vcpu, 0, sizeof(*vcpu));
    vcpu->owner = &owner;
    vcpu->cpuid_table = vcpu_table_empty;
    agent->vcpus[0] = vcpu;
    vcpu_table_init();
    readable = true;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free(pages);
    free(agent);
    free(vcpu);
    return 0;
}

/// Entries end where their memory ends, for the address sanitizer.
static int64_t set_cpuid(const struct pv_cpuid_entry *entries, uint64_t count)
{
    struct pv_cpuid_entry *copy = malloc(count ? count * sizeof(*entries) : 1);
    memcpy(copy, entries, count * sizeof(*entries));
    int64_t result = vcpu_set_cpuid(&agent->regs, 0, (uint64_t)copy, count, 0, 0);
    free(copy);
    return result;
}

static int64_t set_msrs(const struct pv_msr_entry *entries, uint64_t count)
{
    struct pv_msr_entry *copy = malloc(count ? count * sizeof(*entries) : 1);
    memcpy(copy, entries, count * sizeof(*entries));
    int64_t result = vcpu_set_msrs(&agent->regs, 0, (uint64_t)copy, count, 0, 0);
    free(copy);
    return result;
}

/* ---- CPUID ---- */

static void without_a_table_nothing_is_found(void **state)
{
    (void)state;
    uint64_t value, seed = 1;
    for (int i = 0; i < 100000; i++) {
        uint32_t leaf = (uint32_t)random_below(&seed, UINT64_C(1) << 32);
        assert_null(vcpu_table_cpuid(vcpu, leaf, (uint32_t)i));
        assert_false(vcpu_table_msr(vcpu, leaf, &value));
    }
    assert_null(vcpu_table_cpuid(vcpu, 0, 0));
}

static void hidden_features_hide_components_of_xcr0(void **state)
{
    (void)state;
    enum { AVX = 4, AVX512 = 0xe0, PKRU = 0x200 };
    const struct pv_cpuid_entry none[] = {{.leaf = 1, .subleaf = PV_CPUID_ANY}, {.leaf = 7, .subleaf = 0}},
                                avx[] = {{.leaf = 1, .subleaf = PV_CPUID_ANY, .ecx = 1 << 28}, none[1]},
                                all[] = {avx[0], {.leaf = 7, .subleaf = 0, .ebx = 1 << 16, .ecx = 1 << 3}};
    assert_int_equal(vcpu_table_xcr0(vcpu), UINT64_MAX);
    assert_int_equal(set_cpuid(none, 2), PV_OK);
    assert_int_equal(vcpu_table_xcr0(vcpu), ~(uint64_t)(AVX | AVX512 | PKRU));
    assert_int_equal(set_cpuid(avx, 2), PV_OK);
    assert_int_equal(vcpu_table_xcr0(vcpu), ~(uint64_t)(AVX512 | PKRU));
    assert_int_equal(set_cpuid(all, 2), PV_OK);
    assert_int_equal(vcpu_table_xcr0(vcpu), UINT64_MAX);
    assert_int_equal(set_cpuid(all, 1), PV_OK); // no leaf 7: nothing is known
    assert_int_equal(vcpu_table_xcr0(vcpu), UINT64_MAX);
}

/// The answer of the list: the first entry that fits.
static const struct pv_cpuid_entry *first_fit(const struct pv_cpuid_entry *entries, uint64_t count, uint32_t leaf,
                                              uint32_t subleaf)
{
    for (uint64_t i = 0; i < count; i++) {
        if (entries[i].leaf == leaf && (entries[i].subleaf == PV_CPUID_ANY || entries[i].subleaf == subleaf)) {
            return &entries[i];
        }
    }
    return NULL;
}

/// Leaves as there are, and such that fall onto each other in the table.
static uint32_t some_leaf(uint64_t *seed)
{
    static const uint32_t bases[] = {0, 0x40000000, 0x80000000, 0x3fffffff, 0xfffffff0};
    uint32_t leaf = bases[random_below(seed, 5)] + (uint32_t)random_below(seed, 24);
    return random_below(seed, 4) ? leaf : leaf ^ (uint32_t)random_below(seed, 4) * VCPU_TABLE_SLOTS;
}

static void check_cpuid(const struct pv_cpuid_entry *entries, uint64_t count, uint32_t leaf, uint32_t subleaf)
{
    const struct pv_cpuid_entry *wanted = first_fit(entries, count, leaf, subleaf);
    const struct pv_cpuid_entry *found = vcpu_table_cpuid(vcpu, leaf, subleaf);
    assert_int_equal(found != NULL, wanted != NULL);
    if (found) {
        uint32_t ecx = wanted->ecx & ~(uint32_t)(leaf == CPUID_FEATURES ? CPUID_OSXSAVE : 0);
        assert_int_equal(found->eax, wanted->eax);
        assert_int_equal(found->ebx, wanted->ebx);
        assert_int_equal(found->ecx, ecx);
        assert_int_equal(found->edx, wanted->edx);
    }
}

static void cpuid_answers_as_a_list(void **state)
{
    (void)state;
    uint64_t seed = 2;
    for (int round = 0; round < ROUNDS; round++) {
        struct pv_cpuid_entry entries[PV_MAX_CPUID];
        uint64_t count = random_below(&seed, round % 3 ? PV_MAX_CPUID + 1 : 8);
        for (uint64_t i = 0; i < count; i++) {
            entries[i] = (struct pv_cpuid_entry){
                .leaf = some_leaf(&seed),
                .subleaf = random_below(&seed, 2) ? PV_CPUID_ANY : (uint32_t)random_below(&seed, 4),
                .eax = (uint32_t)i,
                .ebx = (uint32_t)random_below(&seed, UINT64_C(1) << 32),
                .ecx = (uint32_t)random_below(&seed, UINT64_C(1) << 32),
                .edx = (uint32_t)round,
            };
        }
        assert_int_equal(set_cpuid(entries, count), PV_OK);
        for (int i = 0; i < PROBES; i++) {
            check_cpuid(entries, count, some_leaf(&seed), (uint32_t)random_below(&seed, 5));
        }
    }
    assert_int_equal(owner.quota.used, PAGE_SIZE); // one page, whatever was set
}

/// Every slot that a search can begin at, in a table as full as it gets.
static void searches_end(void **state)
{
    (void)state;
    struct pv_cpuid_entry entries[PV_MAX_CPUID];
    for (uint32_t first = 0; first < VCPU_TABLE_SLOTS; first++) {
        for (uint32_t i = 0; i < PV_MAX_CPUID; i++) { // one long run that may come round
            entries[i] =
                (struct pv_cpuid_entry){.leaf = (first + i) % VCPU_TABLE_SLOTS, .subleaf = PV_CPUID_ANY, .eax = i};
        }
        assert_int_equal(set_cpuid(entries, PV_MAX_CPUID), PV_OK);
        for (uint32_t leaf = 0; leaf < 4 * VCPU_TABLE_SLOTS; leaf++) {
            check_cpuid(entries, PV_MAX_CPUID, leaf, 0);
        }
    }
}

/* ---- MSRs ---- */

static uint32_t some_msr(uint64_t *seed)
{
    static const uint32_t bases[] = {0, 0x174, 0xc0000080, 0xc0010000, 0x40000000, 0xfffffff0};
    return bases[random_below(seed, 6)] + (uint32_t)random_below(seed, 32);
}

static void msrs_answer_as_a_list(void **state)
{
    (void)state;
    uint64_t seed = 3;
    for (int round = 0; round < ROUNDS; round++) {
        struct pv_msr_entry entries[PV_MAX_MSRS];
        uint64_t count = random_below(&seed, PV_MAX_MSRS + 1);
        for (uint64_t i = 0; i < count; i++) {
            entries[i] = (struct pv_msr_entry){.msr = some_msr(&seed), .value = random_below(&seed, UINT64_MAX)};
        }
        assert_int_equal(set_msrs(entries, count), PV_OK);
        for (int probe = 0; probe < PROBES; probe++) {
            uint32_t msr = some_msr(&seed);
            const struct pv_msr_entry *wanted = NULL; // the last one that names it, as with WRMSR
            for (uint64_t i = 0; i < count; i++) {
                wanted = entries[i].msr == msr ? &entries[i] : wanted;
            }
            uint64_t value = 0;
            assert_int_equal(vcpu_table_msr(vcpu, msr, &value), wanted != NULL);
            assert_int_equal(value, wanted ? wanted->value : 0);
        }
    }
    assert_int_equal(owner.quota.used, PAGE_SIZE);
}

/* ---- refusals ---- */

static void refused_calls_change_nothing(void **state)
{
    (void)state;
    const struct pv_cpuid_entry leaf = {.leaf = 7, .subleaf = PV_CPUID_ANY, .eax = 1};
    const struct pv_msr_entry msr = {.msr = 7, .value = 1};
    assert_int_equal(set_cpuid(&leaf, 1), PV_OK);
    assert_int_equal(set_msrs(&msr, 1), PV_OK);
    uint64_t used = owner.quota.used, value;
    const uint64_t anywhere = (uint64_t)&leaf;
    assert_int_equal(vcpu_set_cpuid(&agent->regs, 0, anywhere, PV_MAX_CPUID + 1, 0, 0), PV_ERR_INVALID);
    assert_int_equal(vcpu_set_msrs(&agent->regs, 0, anywhere, PV_MAX_MSRS + 1, 0, 0), PV_ERR_INVALID);
    assert_int_equal(vcpu_set_cpuid(&agent->regs, 0, anywhere, UINT64_MAX, 0, 0), PV_ERR_INVALID);
    assert_int_equal(vcpu_set_cpuid(&agent->regs, 1, anywhere, 1, 0, 0), PV_ERR_STATE);
    assert_int_equal(vcpu_set_msrs(&agent->regs, 2, anywhere, 1, 0, 0), PV_ERR_NOT_FOUND);
    assert_int_equal(vcpu_set_cpuid(&agent->regs, UINT64_MAX, anywhere, 1, 0, 0), PV_ERR_NOT_FOUND);
    assert_int_equal(vcpu_set_msrs(&agent->regs, 0, USER_TOP - 8, 1, 0, 0), PV_ERR_FAULT); // runs over ring 3's half
    readable = false;
    assert_int_equal(vcpu_set_cpuid(&agent->regs, 0, anywhere, 1, 0, 0), PV_ERR_FAULT);
    assert_int_equal(vcpu_set_msrs(&agent->regs, 0, anywhere, 1, 0, 0), PV_ERR_FAULT);
    assert_int_equal(owner.quota.used, used);
    assert_int_equal(vcpu_table_cpuid(vcpu, 7, 0)->eax, 1);
    assert_true(vcpu_table_msr(vcpu, 7, &value));
}

static void without_a_page_the_call_fails(void **state)
{
    (void)state;
    for (int i = 0; i < QUOTA_PAGES; i++) {
        assert_int_not_equal(quota_alloc(&owner.quota), 0);
    }
    const struct pv_cpuid_entry leaf = {.leaf = 7, .subleaf = PV_CPUID_ANY};
    const struct pv_msr_entry msr = {.msr = 7};
    uint64_t value;
    assert_int_equal(set_cpuid(&leaf, 1), PV_ERR_QUOTA);
    assert_int_equal(set_msrs(&msr, 1), PV_ERR_QUOTA);
    assert_null(vcpu_table_cpuid(vcpu, 7, 0));
    assert_false(vcpu_table_msr(vcpu, 7, &value));
}

static void an_empty_table_takes_the_answers_back(void **state)
{
    (void)state;
    const struct pv_cpuid_entry leaf = {.leaf = 7, .subleaf = PV_CPUID_ANY};
    const struct pv_msr_entry msr = {.msr = 7};
    uint64_t value;
    assert_int_equal(set_cpuid(&leaf, 1), PV_OK);
    assert_int_equal(set_msrs(&msr, 1), PV_OK);
    assert_int_equal(set_cpuid(&leaf, 0), PV_OK);
    assert_int_equal(set_msrs(&msr, 0), PV_OK);
    assert_null(vcpu_table_cpuid(vcpu, 7, 0));
    assert_false(vcpu_table_msr(vcpu, 7, &value));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(without_a_table_nothing_is_found),
        TEST(cpuid_answers_as_a_list),
        TEST(hidden_features_hide_components_of_xcr0),
        TEST(searches_end),
        TEST(msrs_answer_as_a_list),
        TEST(refused_calls_change_nothing),
        TEST(without_a_page_the_call_fails),
        TEST(an_empty_table_takes_the_answers_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
