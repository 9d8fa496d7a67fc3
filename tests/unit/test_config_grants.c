// SPDX-License-Identifier: Apache-2.0
// The MSRs and ports that the configuration grants to guests, and those that it cannot grant.
// links: vmm/config*.c vmm/lib/format.c vmm/lib/string.c
#include "config_helper.h"

#include <polyvisor/vcpu.h>

enum { BOTH = PV_GRANT_READ | PV_GRANT_WRITE };

#define MSR_FORM "expected an MSR from 0 to 0x1fff or from 0xc0000000 to 0xc0001fff, or a range such as 0x10-0x11"
#define IO_FORM "expected a port from 0 to 0xffff or a range such as 0x300-0x31f"

static void check_grant(const struct config_grant *grant, uint32_t first, uint32_t last, uint32_t how)
{
    assert_int_equal(grant->first, first);
    assert_int_equal(grant->last, last);
    assert_int_equal(grant->how, how);
}

/// Parses a personality with this statement, on line 2, where it starts in column 1.
static bool grants(const char *statement)
{
    char text[256];

    snprintf(text, sizeof(text), "personality a { image x; memory 4K\n%s }", statement);
    return parse(text, strlen(text));
}

/// Refuses a statement with this message behind "p.cfg:2:".
static void refuse(const char *statement, const char *message)
{
    char whole[CONFIG_ERROR_SIZE];

    snprintf(whole, sizeof(whole), "p.cfg:2:%s", message);
    assert_false(grants(statement));
    assert_string_equal(error.message, whole);
}

static void reads_msrs(void **state)
{
    const struct config_personality *p = &config.personalities[0];

    (void)state;
    assert_true(grants("msr 0x10 read\n\tmsr 0xC0000083-0xc0000083 write; msr 256-0x101 both\n"
                       "msr 0xc0001fff read; msr 0-1 both; msr 0x1fff write"));
    assert_int_equal(p->msr_grant_count, 6);
    assert_int_equal(p->io_grant_count, 0);
    check_grant(&p->msr_grants[0], 0x10, 0x10, PV_GRANT_READ);
    check_grant(&p->msr_grants[1], 0xc0000083, 0xc0000083, PV_GRANT_WRITE);
    check_grant(&p->msr_grants[2], 0x100, 0x101, BOTH);
    check_grant(&p->msr_grants[3], 0xc0001fff, 0xc0001fff, PV_GRANT_READ);
    check_grant(&p->msr_grants[4], 0, 1, BOTH);
    check_grant(&p->msr_grants[5], 0x1fff, 0x1fff, PV_GRANT_WRITE);
    assert_int_equal(p->msr_grants[0].place.line, 2);
    assert_int_equal(p->msr_grants[0].place.column, 5);
    assert_int_equal(p->msr_grants[2].place.line, 3);
    assert_int_equal(p->msr_grants[2].place.column, 39);
}

static void reads_ports(void **state)
{
    const struct config_personality *p = &config.personalities[0];

    (void)state;
    assert_true(grants("io 0x70-0x7f; io 768; io 0xd00-0xffff; io 0x80"));
    assert_int_equal(p->io_grant_count, 4);
    assert_int_equal(p->msr_grant_count, 0);
    check_grant(&p->io_grants[0], 0x70, 0x7f, BOTH);
    check_grant(&p->io_grants[1], 0x300, 0x300, BOTH);
    check_grant(&p->io_grants[2], 0xd00, 0xffff, BOTH);
    check_grant(&p->io_grants[3], 0x80, 0x80, BOTH);
    assert_int_equal(p->io_grants[1].place.column, 18);
}

/// Each personality has its own; MSRs and ports are apart.
static void counts_apart(void **state)
{
    (void)state;
    accept_text("personality a { image x; memory 4K; msr 0x80 read; io 0x80 }\n"
                "personality b { image x; memory 4K; msr 0x80 both; io 0x80 }\n");
    check_grant(&config.personalities[0].msr_grants[0], 0x80, 0x80, PV_GRANT_READ);
    check_grant(&config.personalities[1].msr_grants[0], 0x80, 0x80, BOTH);
}

static void refuses_forms(void **state)
{
    static const struct {
        const char *statement, *message;
    } cases[] = {
        {"msr", "5: found '}', " MSR_FORM},
        {"msr tsc read", "5: found 'tsc', " MSR_FORM},
        {"msr \"0x10\" read", "5: found '\"0x10\"', " MSR_FORM},
        {"msr 0x read", "5: found '0x', " MSR_FORM},
        {"msr 0X10 read", "5: found '0X10', " MSR_FORM},
        {"msr 1f read", "5: found '1f', " MSR_FORM},
        {"msr 0x1g read", "5: found '0x1g', " MSR_FORM},
        {"msr 0x10- read", "5: found '0x10-', " MSR_FORM},
        {"msr 0x10-0x read", "5: found '0x10-0x', " MSR_FORM},
        {"msr -0x10 read", "5: found '-0x10', " MSR_FORM},
        {"msr 0x10-0x11-0x12 read", "5: found '0x10-0x11-0x12', " MSR_FORM},
        {"msr 0x12-0x10-0x11 read", "5: found '0x12-0x10-0x11', " MSR_FORM},
        {"msr 0x10,0x12 read", "5: found '0x10,0x12', " MSR_FORM},
        {"msr 0x2000 read", "5: found '0x2000', " MSR_FORM},
        {"msr 0x1ff0-0x2000 read", "5: found '0x1ff0-0x2000', " MSR_FORM},
        {"msr 0xbfffffff read", "5: found '0xbfffffff', " MSR_FORM},
        {"msr 0xbfffffff-0xc0000000 read", "5: found '0xbfffffff-0xc0000000', " MSR_FORM},
        {"msr 0-0xc0000000 read", "5: found '0-0xc0000000', " MSR_FORM},
        {"msr 0xc0001fff-0xc0002000 read", "5: found '0xc0001fff-0xc0002000', " MSR_FORM},
        {"msr 0x100000010 read", "5: found '0x100000010', " MSR_FORM},
        {"msr 99999999999999999999 read", "5: found '99999999999999999999', " MSR_FORM},
        {"msr 0x11-0x10 read", "5: found '0x11-0x10', expected a range that ascends, 0x10-0x11"},
        {"msr 0x11-16 read", "5: found '0x11-16', expected a range that ascends, 0x10-0x11"},
        {"msr 0x10", "10: found '}', expected read, write or both"},
        {"msr 0x10 readwrite", "10: found 'readwrite', expected read, write or both"},
        {"msr 0x10 \"read\"", "10: found '\"read\"', expected read, write or both"},
        {"msr 0x10 read write", "15: found 'write', expected ';', '}' or the end of the line"},
        {"io", "4: found '}', " IO_FORM},
        {"io com1", "4: found 'com1', " IO_FORM},
        {"io \"0x80\"", "4: found '\"0x80\"', " IO_FORM},
        {"io 0x10000", "4: found '0x10000', " IO_FORM},
        {"io 0xffff-0x10000", "4: found '0xffff-0x10000', " IO_FORM},
        {"io 0x80-", "4: found '0x80-', " IO_FORM},
        {"io 0x70-0x6f", "4: found '0x70-0x6f', expected a range that ascends, 0x6f-0x70"},
        {"io 0x80 read", "9: found 'read', expected ';', '}' or the end of the line"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        refuse(cases[i].statement, cases[i].message);
}

static void refuses_overlaps(void **state)
{
    (void)state;
    refuse("msr 0x10 read; msr 0x10 read", "20: found '0x10', expected MSRs without 0x10, which line 2 grants already");
    refuse("msr 0x48 read; msr 72 write", "20: found '72', expected MSRs without 0x48, which line 2 grants already");
    refuse("msr 0x84-0x8a read; msr 0x80-0x84 both",
           "25: found '0x80-0x84', expected MSRs without 0x84-0x8a, which line 2 grants already");
    refuse("msr 0x84-0x8a read; msr 0x8a-0x8f both",
           "25: found '0x8a-0x8f', expected MSRs without 0x84-0x8a, which line 2 grants already");
    refuse("msr 0x84-0x8a read; msr 0x85 both",
           "25: found '0x85', expected MSRs without 0x84-0x8a, which line 2 grants already");
    refuse("io 0x84; io 0x80", "4: found '0x84', expected ports without the DMA controllers (0x81-0x91), which "
                               "reach all memory");
    refuse("io 0x300-0x30f; io 0x80; io 0x2f8-0x310",
           "29: found '0x2f8-0x310', expected ports without 0x300-0x30f, which line 2 grants already");
    assert_true(grants("msr 0x84-0x8a read; msr 0x83 both; msr 0x8b read; io 0x300-0x30f; io 0x2ff; io 0x310"));
    refuse_text("personality a {\n msr 0x84 read\n\n msr 0x84 write }",
                "p.cfg:4:6: found '0x84', expected MSRs without 0x84, which line 2 grants already");
}

static void names_what_it_refuses(void **state)
{
    (void)state;
    refuse("msr 0x1b read",
           "5: found '0x1b', expected MSRs without IA32_APIC_BASE (0x1b), which moves the core's local APIC or "
           "switches it off");
    refuse("msr 0x100-0x1ff write",
           "5: found '0x100-0x1ff', expected MSRs without IA32_SYSENTER_CS, _ESP and _EIP (0x174-0x176), which each "
           "guest has of its own without a grant (they are fields of the VMCS)");
    refuse("msr 0x10 both",
           "10: found 'both', expected read, or MSRs without IA32_TIME_STAMP_COUNTER (0x10), which is the "
           "multiplexer's clock");
    refuse("msr 0x8ff-0x900 read",
           "5: found '0x8ff-0x900', expected MSRs without IA32_X2APIC_APICID and the like (0x800-0x8ff), which are "
           "the core's local APIC");
    refuse("io 0x3f0-0x3f8", "4: found '0x3f0-0x3f8', expected ports without COM1 (0x3f8-0x3ff), which is the console");
    refuse("io 0x62-0x66", "4: found '0x62-0x66', expected ports without system control port B (0x63), which gates the "
                           "timer (PIT) and NMIs");
    refuse("io 0-0xffff",
           "4: found '0-0xffff', expected ports without the DMA controllers (0x0-0x1f), which reach all memory");
}

/// Every MSR that the bitmap reaches.
static void refuses_msrs(void **state)
{
    static const struct {
        uint32_t first, last;
        bool readable;
    } msrs[] = {
        {0x10, 0x10, true},
        {0x1b, 0x1b, false},
        {0x3a, 0x3a, false},
        {0x3b, 0x3b, true},
        {0x79, 0x79, false},
        {0x174, 0x176, false},
        {0x17a, 0x17b, true},
        {0x1a0, 0x1a0, true},
        {0x200, 0x21f, true},
        {0x250, 0x26f, true},
        {0x277, 0x277, false},
        {0x280, 0x29f, true},
        {0x2ff, 0x2ff, true},
        {0x400, 0x493, true},
        {0x560, 0x587, true},
        {0x600, 0x600, true},
        {0x6e0, 0x6e0, false},
        {0x800, 0x8ff, false},
        {0x982, 0x984, true},
        {0xda0, 0xda0, true},
        {0x17d0, 0x17d1, true},
        {0xc0000080, 0xc0000082, false},
        {0xc0000084, 0xc0000084, false},
        {0xc0000100, 0xc0000103, false},
    };
    static const uint32_t bases[] = {0, 0xc0000000};

    (void)state;
    for (uint32_t i = 0; i < 2 * 0x2000; i++) {
        uint32_t msr = bases[i / 0x2000] + i % 0x2000;
        bool readable = true, writable = true;
        char statement[64];
        for (size_t k = 0; k < sizeof(msrs) / sizeof(msrs[0]); k++) {
            if (msr >= msrs[k].first && msr <= msrs[k].last) {
                readable = msrs[k].readable;
                writable = false;
            }
        }
        snprintf(statement, sizeof(statement), "msr 0x%x read", msr);
        assert_int_equal(grants(statement), readable);
        snprintf(statement, sizeof(statement), "msr %u write", msr);
        assert_int_equal(grants(statement), writable);
    }
}

static void refuses_ports(void **state)
{
    static const struct {
        uint32_t first, last;
    } refused[] = {
        {0x00, 0x43}, {0x4e, 0x53},   {0x61, 0x61},   {0x63, 0x65},   {0x67, 0x67},
        {0x81, 0xdf}, {0x3f8, 0x3ff}, {0x4d0, 0x4d1}, {0xcf8, 0xcff},
    };

    (void)state;
    for (uint32_t port = 0; port <= 0xffff; port += port < 0x1000 ? 1 : 0xfff) {
        bool granted = true;
        char statement[64];
        for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
            granted = granted && (port < refused[i].first || port > refused[i].last);
        snprintf(statement, sizeof(statement), "io 0x%x", port);
        assert_int_equal(grants(statement), granted);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_msrs),    cmocka_unit_test(reads_ports),      cmocka_unit_test(counts_apart),
        cmocka_unit_test(refuses_forms), cmocka_unit_test(refuses_overlaps), cmocka_unit_test(names_what_it_refuses),
        cmocka_unit_test(refuses_msrs),  cmocka_unit_test(refuses_ports),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
