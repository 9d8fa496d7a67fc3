// SPDX-License-Identifier: Apache-2.0
// What the shell makes of CPUID and of the VMX capability MSRs.
// links: vmm/personalities/monitor/processor.c vmm/personalities/monitor/weaknesses.c
// links: vmm/personalities/monitor/vmx_caps.c vmm/personalities/monitor/vmx_bits.c
// links: vmm/personalities/monitor/msr_names.c vmm/lib/string.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/personalities/monitor/msr_names.h"
#include "vmm/personalities/monitor/processor.h"
#include "vmm/personalities/monitor/vmx_caps.h"

/// A processor of Intel's with the given CPUID.1:EAX.
static struct processor intel(uint32_t signature)
{
    struct processor p = {0};
    p.leaves[LEAF_0] = (struct pv_cpuid){0x1f, 0x756e6547, 0x6c65746e, 0x49656e69};
    p.leaves[LEAF_1].eax = signature;
    processor_decode(&p);
    return p;
}

static bool has_weakness(const struct processor *p, const char *name)
{
    for (size_t i = 0; i < processor_weakness_count; i++)
        if (strcmp(processor_weaknesses[i].name, name) == 0)
            return processor_weaknesses[i].applies(p);
    fail_msg("no weakness '%s'", name);
    return false;
}

static void decodes_the_identity(void **state)
{
    (void)state;
    struct processor p = intel(0x50654);
    assert_string_equal(p.vendor, "GenuineIntel");
    assert_true(p.intel);
    assert_int_equal(p.family, 6);
    assert_int_equal(p.model, 0x55);
    assert_int_equal(p.stepping, 4);
    p = intel(0x00a20f10); // AMD's Zen 3, for the extended family
    assert_int_equal(p.family, 0x19);
    assert_int_equal(p.model, 0x21);
    p = intel(0x00000543); // the extended model counts in families 6 and 15 only
    assert_int_equal(p.model, 4);
    memcpy(&p.leaves[LEAF_X2], "Some Processor at a rate of many GHz, 48 chars..", 48);
    p.leaves[LEAF_X8].eax = 0x3027;
    processor_decode(&p);
    assert_string_equal(p.brand, "Some Processor at a rate of many GHz, 48 chars..");
    assert_int_equal(p.physical_bits, 39);
    assert_int_equal(p.linear_bits, 48);
}

static void asks_only_for_leaves_that_exist(void **state)
{
    (void)state;
    struct processor p = {0};
    p.leaves[LEAF_0].eax = 7;
    p.leaves[LEAF_X0].eax = 0x80000001;
    assert_true(processor_has_leaf(&p, LEAF_7_0));
    assert_false(processor_has_leaf(&p, LEAF_7_1));
    assert_false(processor_has_leaf(&p, LEAF_D_1));
    assert_true(processor_has_leaf(&p, LEAF_X1));
    assert_false(processor_has_leaf(&p, LEAF_X8));
    p.leaves[LEAF_7_0].eax = 1;
    assert_true(processor_has_leaf(&p, LEAF_7_1));
    assert_false(processor_has_leaf(&p, LEAF_7_2));
}

static void finds_features(void **state)
{
    (void)state;
    struct processor p = {0};
    for (size_t i = 0; i < processor_feature_count; i++)
        assert_false(processor_has(&p, &processor_features[i]));
    p.leaves[LEAF_1].ecx = 1u << 5;
    p.leaves[LEAF_7_0].ebx = 1u << 7 | 1u << 20;
    p.leaves[LEAF_X7].edx = 1u << 8;
    assert_true(processor_has_named(&p, "vmx"));
    assert_true(processor_has_named(&p, "smep"));
    assert_true(processor_has_named(&p, "smap"));
    assert_true(processor_has_named(&p, "invariant-tsc"));
    assert_false(processor_has_named(&p, "umip"));
    assert_false(processor_has_named(&p, "no such feature"));
}

static void feature_names_are_unique(void **state)
{
    (void)state;
    for (size_t i = 0; i < processor_feature_count; i++)
        for (size_t j = 0; j < i; j++) {
            const struct processor_feature *a = &processor_features[i], *b = &processor_features[j];
            assert_string_not_equal(a->name, b->name);
            assert_false(a->leaf == b->leaf && a->in == b->in && a->bit == b->bit);
        }
}

static void knows_weaknesses(void **state)
{
    (void)state;
    struct processor p = intel(0x50654); // Skylake, server
    assert_true(has_weakness(&p, "Meltdown"));
    assert_true(has_weakness(&p, "L1TF"));
    assert_true(has_weakness(&p, "MDS"));
    assert_true(has_weakness(&p, "ITLB multihit"));
    assert_true(has_weakness(&p, "preemption timer, large values"));
    assert_false(has_weakness(&p, "preemption timer, rate"));
    assert_false(has_weakness(&p, "TAA"));
    assert_false(has_weakness(&p, "ITS"));
    p.leaves[LEAF_7_0].ebx = 1u << 11; // RTM
    assert_true(has_weakness(&p, "TAA"));
    p = intel(0x50657); // Cascade Lake
    assert_true(has_weakness(&p, "ITS"));
    p.arch_capabilities = 1u << 0 | 1u << 5 | 1u << 6; // RDCL_NO, MDS_NO, IF_PSCHANGE_MC_NO
    assert_false(has_weakness(&p, "Meltdown"));
    assert_false(has_weakness(&p, "L1TF"));
    assert_false(has_weakness(&p, "MDS"));
    assert_false(has_weakness(&p, "ITLB multihit"));
}

static void tells_models_apart(void **state)
{
    (void)state;
    struct processor p = intel(0x106a5); // Nehalem
    assert_true(has_weakness(&p, "preemption timer, rate"));
    assert_true(has_weakness(&p, "IA32_PERF_GLOBAL_CTRL"));
    p = intel(0x506c9); // Goldmont
    assert_true(has_weakness(&p, "Meltdown"));
    assert_false(has_weakness(&p, "L1TF"));
    assert_false(has_weakness(&p, "MDS"));
    assert_true(has_weakness(&p, "RFDS"));
    p = intel(0x106c2); // Bonnell executes in order
    for (size_t i = 0; i < processor_weakness_count; i++)
        assert_false(processor_weaknesses[i].applies(&p));
    p = intel(0x806eb); // the last Kaby Lake before ITS
    assert_false(has_weakness(&p, "ITS"));
    p = intel(0x806ec);
    assert_true(has_weakness(&p, "ITS"));
}

static void leaves_other_makers_alone(void **state)
{
    (void)state;
    struct processor p = intel(0x50654);
    p.leaves[LEAF_0].ebx = 0x68747541; // "Auth..."
    processor_decode(&p);
    for (size_t i = 0; i < processor_weakness_count; i++)
        assert_false(processor_weaknesses[i].applies(&p));
}

static void reads_control_bits(void **state)
{
    (void)state;
    const uint64_t value = UINT64_C(0x0000000700000005); // may be 1: 0 to 2; must be 1: 0 and 2
    assert_int_equal(vmx_setting(VMX_LAYOUT_CONTROLS, value, 0), VMX_ALWAYS);
    assert_int_equal(vmx_setting(VMX_LAYOUT_CONTROLS, value, 1), VMX_YES);
    assert_int_equal(vmx_setting(VMX_LAYOUT_CONTROLS, value, 2), VMX_ALWAYS);
    assert_int_equal(vmx_setting(VMX_LAYOUT_CONTROLS, value, 3), VMX_NO);
    assert_int_equal(vmx_setting(VMX_LAYOUT_CONTROLS, UINT64_C(1) << 63, 31), VMX_YES);
    assert_int_equal(vmx_setting(VMX_LAYOUT_FLAGS, 2, 1), VMX_YES);
    assert_int_equal(vmx_setting(VMX_LAYOUT_FLAGS, 2, 0), VMX_NO);
    assert_int_equal(vmx_setting(VMX_LAYOUT_FLAGS, UINT64_C(1) << 63, 63), VMX_YES);
    assert_string_equal(vmx_setting_name(VMX_ALWAYS), "always");
}

static const struct vmx_group *group(const char *key)
{
    for (size_t i = 0; i < vmx_group_count; i++)
        if (strcmp(vmx_groups[i].key, key) == 0)
            return &vmx_groups[i];
    fail_msg("no group '%s'", key);
    return NULL;
}

static void finds_bits_without_a_name(void **state)
{
    (void)state;
    // IA32_VMX_TRUE_PINBASED_CTLS of a Skylake: all that can be set freely has a name, what is always 1 needs none.
    assert_int_equal(vmx_unnamed(group("pin"), UINT64_C(0x000000ff00000016)), 0);
    assert_int_equal(vmx_unnamed(group("pin"), UINT64_C(0x000003ff00000016)), 0x300);
    assert_int_equal(vmx_unnamed(group("tertiary"), UINT64_C(1) << 40 | 0x10), UINT64_C(1) << 40);
}

static void tables_are_in_order(void **state)
{
    (void)state;
    for (size_t g = 0; g < vmx_group_count; g++)
        for (size_t i = 0; i < vmx_groups[g].count; i++) {
            const uint8_t bit = vmx_groups[g].bits[i].bit;
            assert_true(bit < (vmx_groups[g].layout == VMX_LAYOUT_FLAGS ? 64 : 32));
            if (i > 0)
                assert_true(bit > vmx_groups[g].bits[i - 1].bit);
        }
    for (size_t i = 1; i < msr_name_count; i++)
        assert_true(msr_names[i].number > msr_names[i - 1].number);
}

static void decodes_basic_and_misc(void **state)
{
    (void)state;
    const struct vmx_basic basic = vmx_basic_decode(UINT64_C(0x00d810000000002b));
    assert_int_equal(basic.revision, 0x2b);
    assert_int_equal(basic.region_size, 4096);
    assert_int_equal(basic.memory_type, 6);
    assert_false(basic.addresses_32_bit);
    assert_int_equal(vmx_basic_decode(UINT64_MAX).revision, 0x7fffffff);
    const struct vmx_misc misc = vmx_misc_decode(UINT64_C(0x00000000600401e5));
    assert_int_equal(misc.timer_shift, 5);
    assert_int_equal(misc.cr3_targets, 4);
    assert_int_equal(misc.msr_list_max, 512);
    assert_int_equal(vmx_misc_decode(UINT64_C(7) << 25).msr_list_max, 4096);
    assert_int_equal(vmx_misc_decode(UINT64_C(0x1234) << 32).mseg_revision, 0x1234);
}

static void finds_msrs(void **state)
{
    (void)state;
    assert_int_equal(msr_by_name("IA32_EFER")->number, 0xc0000080);
    assert_int_equal(msr_by_name("ia32_vmx_basic")->number, 0x480);
    assert_null(msr_by_name("IA32_EFE"));
    assert_null(msr_by_name("IA32_EFERX"));
    assert_null(msr_by_name(""));
    assert_string_equal(msr_by_number(0x1b)->name, "IA32_APIC_BASE");
    assert_null(msr_by_number(0x1234));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decodes_the_identity),
        cmocka_unit_test(asks_only_for_leaves_that_exist),
        cmocka_unit_test(finds_features),
        cmocka_unit_test(feature_names_are_unique),
        cmocka_unit_test(knows_weaknesses),
        cmocka_unit_test(tells_models_apart),
        cmocka_unit_test(leaves_other_makers_alone),
        cmocka_unit_test(reads_control_bits),
        cmocka_unit_test(finds_bits_without_a_name),
        cmocka_unit_test(tables_are_in_order),
        cmocka_unit_test(decodes_basic_and_misc),
        cmocka_unit_test(finds_msrs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
