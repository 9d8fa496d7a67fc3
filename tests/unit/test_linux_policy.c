// SPDX-License-Identifier: Apache-2.0
// What the linux personality's guests see by CPUID and RDMSR.
// links: vmm/personalities/linux/cpuid.c vmm/personalities/linux/msr.c
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/personalities/linux/cpuid.h"
#include "vmm/personalities/linux/msr.h"

/// A processor that has everything.
static struct pv_cpuid all_ones(uint32_t leaf, uint32_t subleaf)
{
    struct pv_cpuid r = {UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX};
    if (leaf == 0)
        r.eax = 0x20;
    if (leaf == 4)
        r.eax = subleaf == 3 ? 0 : subleaf == 2 ? 0xfc004163 : 0xfc004121; // L1, L1, L3, no more
    if (leaf == 0xd && subleaf == 0)
        r.eax = 0x602e7;
    if (leaf == 0xd && subleaf == 2)
        r = (struct pv_cpuid){256, 576, 0, 0};
    if (leaf == 0xd && subleaf == 5)
        r = (struct pv_cpuid){64, 1088, 0, 0};
    if (leaf == 0xd && subleaf == 6)
        r = (struct pv_cpuid){512, 1152, 2, 0};
    if (leaf == 0xd && subleaf == 7)
        r = (struct pv_cpuid){1024, 1664, 0, 0};
    return r;
}

static struct pv_cpuid nothing(uint32_t leaf, uint32_t subleaf)
{
    (void)subleaf;
    return (struct pv_cpuid){.eax = leaf == 0};
}

static const struct pv_cpuid_entry *find(const struct pv_cpuid_entry *table, uint32_t count, uint32_t leaf,
                                         uint32_t subleaf)
{
    const struct pv_cpuid_entry *found = NULL;
    for (uint32_t i = 0; i < count; i++) {
        if (table[i].leaf != leaf || (table[i].subleaf != subleaf && table[i].subleaf != PV_CPUID_ANY))
            continue;
        assert_null(found); // once
        found = &table[i];
    }
    assert_non_null(found);
    return found;
}

static void test_hides(void **state)
{
    (void)state;
    struct pv_cpuid_entry t[PV_MAX_CPUID];
    const struct cpuid_machine m = {.host = all_ones, .tsc_hz = 2900000000, .cpus = 3, .apic_id = 2};
    const uint32_t n = cpuid_table(&m, t);
    assert_true(n < PV_MAX_CPUID);
    const struct pv_cpuid_entry *e = find(t, n, 1, 0);
    assert_int_equal(e->ecx & (1u << 3 | 1u << 5 | 1u << 6 | 1u << 15 | 1u << 18), 0); // MWAIT, VMX, SMX, PDCM, DCA
    assert_int_equal(e->ecx >> 31, 1);
    assert_int_equal(e->edx & (1u << 21 | 1u << 22 | 1u << 29 | 1u << 31), 0); // DS, ACPI, TM, PBE
    assert_int_equal(e->ebx >> 16, 2 << 8 | 4);
    e = find(t, n, 7, 0);
    assert_int_equal(e->eax, 0);
    assert_int_equal(e->ebx & (1u << 2 | 1u << 4 | 1u << 11 | 1u << 12 | 1u << 25), 0);
    assert_int_equal(e->ecx & (1u << 3 | 1u << 4 | 1u << 5 | 1u << 7 | 1u << 16), 0); // PKU, WAITPKG, CET, LA57
    assert_int_equal(e->edx, 1u << 4);
    assert_int_equal(find(t, n, 0x80000008, 0)->eax >> 8 & 0xff, 48);
    assert_int_equal(find(t, n, 0, 0)->eax, 0x16);
    assert_int_equal(find(t, n, 0x80000000, 0)->eax, 0x80000008);
}

/// What is emulated is there even if the processor lacks it, and nothing else is.
static void test_own(void **state)
{
    (void)state;
    struct pv_cpuid_entry t[PV_MAX_CPUID];
    const struct cpuid_machine m = {.host = nothing, .tsc_hz = 50000000, .cpus = 1};
    const uint32_t n = cpuid_table(&m, t);
    assert_int_equal(find(t, n, 1, 0)->ecx, 1u << 21 | 1u << 24 | 1u << 31);
    assert_int_equal(find(t, n, 1, 0)->edx, 0);
    assert_int_equal(find(t, n, 7, 0)->ebx, 1u << 1);
    assert_int_equal(find(t, n, 0x40000000, 0)->ebx, 0x796c6f50); // "Poly"
}

static void test_topology(void **state)
{
    (void)state;
    struct pv_cpuid_entry t[PV_MAX_CPUID];
    const struct cpuid_machine m = {.host = all_ones, .tsc_hz = 1, .cpus = 5, .apic_id = 4};
    const uint32_t n = cpuid_table(&m, t);
    const struct pv_cpuid_entry *smt = find(t, n, 0xb, 0), *core = find(t, n, 0xb, 1), *end = find(t, n, 0xb, 2);
    assert_int_equal(smt->eax, 0);
    assert_int_equal(smt->ebx, 1);
    assert_int_equal(smt->ecx, 0x100);
    assert_int_equal(core->eax, 3); // 5 vcpus need 3 bits
    assert_int_equal(core->ebx, 5);
    assert_int_equal(core->ecx, 0x201);
    assert_int_equal(end->ecx, 2);
    assert_int_equal(smt->edx, 4);
    assert_int_equal(find(t, n, 4, 0)->eax, 7u << 26 | 0x121);           // L1: one vcpu's
    assert_int_equal(find(t, n, 4, 2)->eax, 7u << 26 | 7 << 14 | 0x163); // L3: all of them
    assert_int_equal(find(t, n, 4, 3)->eax, 0);
}

static void test_clock(void **state)
{
    (void)state;
    static const uint64_t rates[] = {50000000, 2903997000, 4294967295, 5100000000};
    for (size_t i = 0; i < 4; i++) {
        struct pv_cpuid_entry t[PV_MAX_CPUID];
        const struct cpuid_machine m = {.host = nothing, .tsc_hz = rates[i], .cpus = 1};
        const uint32_t n = cpuid_table(&m, t);
        const struct pv_cpuid_entry *e = find(t, n, 0x15, 0);
        assert_int_equal((uint64_t)e->ecx * e->ebx / e->eax, rates[i]);
        assert_int_equal(find(t, n, 0x40000010, 0)->eax, rates[i] / 1000);
    }
}

static void test_xsave(void **state)
{
    (void)state;
    const struct cpuid_machine m = {.host = all_ones};
    struct pv_cpuid r = cpuid_delivered(&m, 0xd, 0, 1);
    assert_int_equal(r.eax, 0xe7);
    assert_int_equal(r.ebx, 576);
    assert_int_equal(r.ecx, 2688);
    assert_int_equal(cpuid_delivered(&m, 0xd, 0, 7).ebx, 832);
    assert_int_equal(cpuid_delivered(&m, 0xd, 0, 0xe7).ebx, 2688);
    // Compacted: 576 + 256 + 64, aligned to 896, + 512 + 1024; AVX-512 without its place behind the MPX holes.
    assert_int_equal(cpuid_delivered(&m, 0xd, 1, 0xe7).ebx, 896 + 512 + 1024);
    assert_int_equal(cpuid_delivered(&m, 0xd, 1, 0xe7).eax, 7);
    assert_int_equal(cpuid_delivered(&m, 0xd, 2, 7).ebx, 576);
    assert_int_equal(cpuid_delivered(&m, 0xd, 17, 7).eax, 0); // AMX
    assert_int_equal(cpuid_delivered(&m, 0xd, 64, 7).eax, 0);
    assert_int_equal(cpuid_delivered(&m, 0x1234, 0, 7).eax, 0);
}

static void test_msr_values(void **state)
{
    (void)state;
    struct msr_file f;
    uint64_t v;
    memset(&f, 0xcc, sizeof(f));
    msr_init(&f);
    assert_true(msr_read(&f, 0xfe, &v));
    assert_int_equal(v, 0x508);
    assert_true(msr_read(&f, 0x2ff, &v));
    assert_int_equal(v, 0xc06);
    assert_true(msr_read(&f, 0x26f, &v));
    assert_int_equal(v, 0x0606060606060606);
    assert_true(msr_read(&f, 0x3a, &v));
    assert_int_equal(v, 1);
    assert_true(msr_read(&f, 0x179, &v));
    assert_int_equal(v, 0);
}

/// Every MSR that there is keeps what it takes, and no other one changes by that.
static void test_msrs_are_separate(void **state)
{
    (void)state;
    struct msr_file f;
    uint32_t there[128];
    uint32_t count = 0;
    uint64_t v;
    msr_init(&f);
    for (uint32_t msr = 0; msr < 0x2000; msr++)
        if (msr_read(&f, msr, &v))
            there[count++] = msr;
    assert_true(count > 30 && count < 128);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t before[128], after;
        for (uint32_t k = 0; k < count; k++)
            msr_read(&f, there[k], &before[k]);
        const uint64_t wanted = before[i] == 0 ? 0 : before[i] & 0x0404040404040404;
        const bool taken = msr_write(&f, there[i], wanted);
        for (uint32_t k = 0; k < count; k++) {
            msr_read(&f, there[k], &after);
            if (k != i)
                assert_int_equal(after, before[k]);
            else if (taken && there[i] != 0x8b)
                assert_int_equal(after, wanted);
            else
                assert_int_equal(after, before[k]);
        }
    }
    assert_false(msr_read(&f, 0x1b, &v));       // the local APIC's
    assert_false(msr_read(&f, 0x277, &v));      // PAT: the processor's, without an exit
    assert_false(msr_read(&f, 0x480, &v));      // VMX
    assert_false(msr_read(&f, 0xc0000080, &v)); // EFER
}

/// The multiplexer's table says what the file says, and holds nothing that can be written.
static void test_msr_table(void **state)
{
    (void)state;
    struct pv_msr_entry table[PV_MAX_MSRS];
    struct msr_file f;
    uint64_t v;
    msr_init(&f);
    const uint32_t count = msr_table(table);
    assert_true(count >= 5);
    for (uint32_t i = 0; i < count; i++) {
        const bool written = msr_write(&f, table[i].msr, 0);
        assert_true(msr_read(&f, table[i].msr, &v));
        assert_true(v == table[i].value && (!written || v != 0));
    }
}

static void test_msr_checks(void **state)
{
    (void)state;
    struct msr_file f;
    msr_init(&f);
    assert_false(msr_write(&f, 0xfe, 0));
    assert_false(msr_write(&f, 0x3a, 5));
    assert_true(msr_write(&f, 0x200, 0xc0000006));
    assert_false(msr_write(&f, 0x200, 0xc0000106));
    assert_true(msr_write(&f, 0x201, 0xfffc0000800));
    assert_false(msr_write(&f, 0x201, 0xfffc0000806));
    assert_false(msr_write(&f, 0x201, UINT64_C(1) << 52));
    assert_true(msr_write(&f, 0x20f, 0x800));
    assert_false(msr_write(&f, 0x210, 0));
    assert_true(msr_write(&f, 0x8b, 0)); // what Linux does before it reads the microcode's revision
    assert_false(msr_write(&f, 0x1d9, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hides),
        cmocka_unit_test(test_own),
        cmocka_unit_test(test_topology),
        cmocka_unit_test(test_clock),
        cmocka_unit_test(test_xsave),
        cmocka_unit_test(test_msr_values),
        cmocka_unit_test(test_msrs_are_separate),
        cmocka_unit_test(test_msr_checks),
        cmocka_unit_test(test_msr_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
