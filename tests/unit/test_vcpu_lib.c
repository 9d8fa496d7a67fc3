// SPDX-License-Identifier: Apache-2.0
// The library for personalities that run guests: its allocator, exits, events, MSRs and starting states. The pool is at its usual
// address.
// links: vmm/personalities/lib/vcpu.c vmm/personalities/lib/vcpu_start.c
#define _GNU_SOURCE // MAP_FIXED_NOREPLACE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "vcpu.h"

enum { POOL = 64 << 20 };

static struct pv_vcpu_state state;

/// The last system call, and what the next one answers.
static uint64_t called, arguments[5];
static int64_t answer;

int64_t pv_syscall(uint64_t number, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4)
{
    const uint64_t given[] = {a0, a1, a2, a3, a4};
    called = number;
    memcpy(arguments, given, sizeof(arguments));
    return answer;
}

static const struct pv_info info = {.pool_size = POOL};
const struct pv_info *host_info_page = &info;

static int make_pool(void **unused)
{
    (void)unused;
    void *pool = mmap((void *)(uintptr_t)PV_POOL_VA, POOL, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    return pool == MAP_FAILED ? -1 : 0;
}

static int clear_state(void **unused)
{
    (void)unused;
    memset(&state, 0, sizeof(state));
    answer = 0;
    return 0;
}

/// Memory for a guest; not from the allocator, whose test counts.
static struct pv_guest_memory some_memory(void)
{
    return (struct pv_guest_memory){.space = 3, .pool_offset = POOL - (1 << 20), .size = 1 << 20};
}

// ---- the pool ----

static void allocates_pages_from_the_end(void **unused)
{
    (void)unused;
    const uint64_t first = pv_pool_alloc(1, PV_PAGE_SIZE);
    assert_int_equal(pv_pool_alloc(PV_PAGE_SIZE + 1, PV_PAGE_SIZE), first - 2 * PV_PAGE_SIZE);
    assert_int_equal(pv_pool_alloc(1, PV_PAGE_SIZE), first - 3 * PV_PAGE_SIZE);
}

static void aligns_and_clears(void **unused)
{
    (void)unused;
    memset(pv_pool_pointer(0), 0xff, 16 << 20);
    const uint64_t offset = pv_pool_alloc(PV_LARGE_PAGE_SIZE, PV_LARGE_PAGE_SIZE);
    const unsigned char *bytes = pv_pool_pointer(offset);
    assert_int_equal(offset % PV_LARGE_PAGE_SIZE, 0);
    assert_int_equal(bytes[0] | bytes[PV_LARGE_PAGE_SIZE - 1], 0);
    assert_int_equal(bytes[PV_LARGE_PAGE_SIZE], 0xff);
}

static void large_pages_lose_nothing_to_single_ones(void **unused)
{
    (void)unused;
    const uint64_t first = pv_pool_alloc(PV_LARGE_PAGE_SIZE, PV_LARGE_PAGE_SIZE);
    const uint64_t page = pv_pool_alloc(PV_PAGE_SIZE, PV_PAGE_SIZE);
    assert_true(page > first);
    assert_int_equal(pv_pool_alloc(PV_LARGE_PAGE_SIZE, PV_LARGE_PAGE_SIZE), first + PV_LARGE_PAGE_SIZE);
    assert_int_equal(pv_pool_alloc(PV_PAGE_SIZE, PV_PAGE_SIZE), page - PV_PAGE_SIZE);
}

static void ends_with_the_pool(void **unused)
{
    (void)unused;
    assert_true(pv_pool_alloc(POOL + 1, PV_PAGE_SIZE) == PV_POOL_FULL);
    assert_true(pv_pool_alloc(UINT64_MAX, PV_PAGE_SIZE) == PV_POOL_FULL);
    assert_true(pv_pool_alloc(POOL, PV_PAGE_SIZE) == PV_POOL_FULL); // the tests before have taken some
    const uint64_t before = pv_pool_alloc(PV_PAGE_SIZE, PV_PAGE_SIZE);
    assert_true(pv_pool_alloc(POOL, PV_LARGE_PAGE_SIZE) == PV_POOL_FULL);
    assert_int_equal(pv_pool_alloc(PV_PAGE_SIZE, PV_PAGE_SIZE), before - PV_PAGE_SIZE); // nothing was lost
}

static void makes_guests(void **unused)
{
    (void)unused;
    struct pv_guest_memory memory;
    answer = 5;
    assert_int_equal(pv_guest_memory_create(&memory, PV_LARGE_PAGE_SIZE), 5);
    assert_int_equal(called, PV_SYS_SPACE_MAP);
    assert_int_equal(arguments[0], 5);
    assert_int_equal(arguments[1], 0);
    assert_int_equal(arguments[2], memory.pool_offset);
    assert_int_equal(arguments[3], PV_LARGE_PAGE_SIZE);
    assert_int_equal(arguments[4], PV_ACCESS_ALL | PV_MEMORY_WB << 8);
    assert_int_equal(memory.pool_offset % PV_LARGE_PAGE_SIZE, 0);
    answer = PV_ERR_QUOTA;
    assert_int_equal(pv_guest_memory_create(&memory, PV_PAGE_SIZE), PV_ERR_QUOTA);
    assert_int_equal(called, PV_SYS_SPACE_CREATE);
}

static void knows_a_guests_bounds(void **unused)
{
    (void)unused;
    const struct pv_guest_memory memory = some_memory();
    assert_ptr_equal(pv_guest_pointer(&memory, 0x1000, 1), pv_pool_pointer(memory.pool_offset + 0x1000));
    assert_non_null(pv_guest_pointer(&memory, memory.size - 8, 8));
    assert_null(pv_guest_pointer(&memory, memory.size - 8, 9));
    assert_null(pv_guest_pointer(&memory, UINT64_MAX, 1));
    assert_null(pv_guest_pointer(&memory, 8, SIZE_MAX));
    assert_false(pv_guest_load(&memory, memory.size, "x", 1));
    assert_true(pv_guest_load(&memory, 16, "x", 1));
    assert_int_equal(*(char *)pv_guest_pointer(&memory, 16, 1), 'x');
}

// ---- exits ----

static void decodes_io(void **unused)
{
    (void)unused;
    const struct pv_io out = pv_io_decode(0x03f80000);
    assert_int_equal(out.port, 0x3f8);
    assert_int_equal(out.size, 1);
    assert_false(out.in || out.string || out.repeated);
    const struct pv_io in = pv_io_decode(UINT64_C(0xcfc0000) | 3 | 8);
    assert_int_equal(in.port, 0xcfc);
    assert_int_equal(in.size, 4);
    assert_true(in.in);
    const struct pv_io strings = pv_io_decode(0x600000 | 1 | 16 | 32 | 64);
    assert_int_equal(strings.size, 2);
    assert_true(strings.string && strings.repeated && !strings.in);
}

static void moves_io_data(void **unused)
{
    static const struct {
        uint8_t size;
        uint64_t value, after;
    } cases[] = {
        {1, 0x88, UINT64_C(0x1122334455667799)},
        {2, 0x7788, UINT64_C(0x1122334455669999)},
        {4, 0x55667788, UINT64_C(0x0000000099999999)},
    };
    (void)unused;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct pv_io io = {.size = cases[i].size};
        state.gpr[PV_RAX] = UINT64_C(0x1122334455667788);
        assert_int_equal(pv_io_value(&state, &io), cases[i].value);
        pv_io_answer(&state, &io, 0x99999999);
        assert_true(state.gpr[PV_RAX] == cases[i].after);
    }
}

static void skips_instructions(void **unused)
{
    (void)unused;
    state.rip = 0x1000;
    state.exit_instruction_length = 3;
    state.interruptibility = 0xb;
    pv_skip_instruction(&state);
    assert_int_equal(state.rip, 0x1003);
    assert_int_equal(state.interruptibility, 8); // blocking by NMI stays
    assert_int_equal(state.dirty, PV_GROUP_RIP | PV_GROUP_FLAGS);
    state.dirty = 0;
    pv_skip_instruction(&state);
    assert_int_equal(state.dirty, PV_GROUP_RIP);
}

static void answers_cpuid_and_rdmsr(void **unused)
{
    (void)unused;
    memset(state.gpr, 0xff, sizeof(state.gpr));
    pv_cpuid_answer(&state, (struct pv_cpuid){1, 2, 3, UINT32_MAX});
    assert_true(state.gpr[PV_RAX] == 1 && state.gpr[PV_RBX] == 2 && state.gpr[PV_RCX] == 3);
    assert_true(state.gpr[PV_RDX] == UINT32_MAX); // upper halves are cleared
    pv_msr_answer(&state, UINT64_C(0x8765432112345678));
    assert_true(state.gpr[PV_RAX] == 0x12345678 && state.gpr[PV_RDX] == 0x87654321);
    state.gpr[PV_RAX] |= UINT64_C(1) << 40;
    assert_true(pv_msr_value(&state) == UINT64_C(0x8765432112345678));
}

static void keeps_msrs_in_the_state_page(void **unused)
{
    uint64_t value;
    (void)unused;
    assert_true(pv_msr_state_write(&state, 0xc0000082, UINT64_C(0xffff800000001000)));
    assert_true(state.lstar == UINT64_C(0xffff800000001000));
    assert_int_equal(state.dirty, PV_GROUP_MSRS);
    assert_true(pv_msr_state_write(&state, 0xc0000101, 0x2000));
    assert_int_equal(state.segment[PV_GS].base, 0x2000);
    assert_true(pv_msr_state_write(&state, 0x174, 8));
    assert_int_equal(state.dirty, PV_GROUP_MSRS | PV_GROUP_SEGMENTS | PV_GROUP_SYSENTER);
    assert_true(pv_msr_state_read(&state, 0xc0000082, &value));
    assert_true(value == UINT64_C(0xffff800000001000));
    assert_false(pv_msr_state_read(&state, 0x10, &value));
}

static void refuses_what_wrmsr_would(void **unused)
{
    (void)unused;
    assert_false(pv_msr_state_write(&state, 0xc0000082, UINT64_C(0x0000800000000000)));
    assert_false(pv_msr_state_write(&state, 0xc0000102, UINT64_C(0xffff7fffffffffff)));
    assert_false(pv_msr_state_write(&state, 0xc0000084, UINT64_C(1) << 32));
    assert_false(pv_msr_state_write(&state, 0x1b, 0));
    assert_int_equal(state.dirty, 0);
    assert_true(pv_msr_state_write(&state, 0xc0000082, UINT64_C(0x00007fffffffffff)));
    assert_true(pv_msr_state_write(&state, 0xc0000081, UINT64_MAX)); // STAR holds anything
}

// ---- events ----

static void injects_one_event(void **unused)
{
    (void)unused;
    assert_false(pv_inject_pending(&state));
    assert_true(pv_inject(&state, PV_TYPE_INTERRUPT, 0x40));
    assert_int_equal(state.inject, 0x80000040);
    assert_true(pv_inject_pending(&state));
    assert_false(pv_inject_error(&state, PV_VECTOR_GP, 0)); // another waits
    assert_int_equal(state.inject, 0x80000040);
    state.inject = 0;
    assert_true(pv_inject_error(&state, PV_VECTOR_GP, 0x18));
    assert_int_equal(state.inject, 0x80000b0d);
    assert_int_equal(state.inject_error, 0x18);
}

static void lets_interrupted_deliveries_go_first(void **unused)
{
    (void)unused;
    state.vectoring_info = 0x80000020;
    assert_false(pv_inject(&state, PV_TYPE_INTERRUPT, 0x40));
    state.vectoring_info = 0;
    assert_true(pv_inject(&state, PV_TYPE_NMI, 2));
    assert_int_equal(state.inject, 0x80000202);
}

static void requests_stand_beside_events(void **unused)
{
    (void)unused;
    pv_request_window(&state);
    assert_int_equal(state.inject, 0x40000000);
    assert_false(pv_inject_pending(&state));
    assert_true(pv_inject(&state, PV_TYPE_INTERRUPT, 0x40));
    assert_int_equal(state.inject, 0xc0000040);
    state.inject = 0;
    state.vectoring_info = 0x80000020;
    pv_cancel_vectoring(&state);
    assert_int_equal(state.inject, 0x10000000);
    assert_true(pv_inject_error(&state, PV_VECTOR_GP, 0)); // instead of that one
    assert_int_equal(state.inject, 0x90000b0d);
}

static void page_faults_bring_their_address(void **unused)
{
    (void)unused;
    assert_true(pv_inject_page_fault(&state, 6, UINT64_C(0xffff888000001234)));
    assert_int_equal(state.inject, 0x80000b0e);
    assert_int_equal(state.inject_error, 6);
    assert_true(state.cr2 == UINT64_C(0xffff888000001234));
    assert_int_equal(state.dirty, PV_GROUP_CR2);
    assert_false(pv_inject_page_fault(&state, 2, 0)); // another waits
    assert_true(state.cr2 == UINT64_C(0xffff888000001234));
}

static void tells_when_interrupts_can_come(void **unused)
{
    (void)unused;
    state.rflags = 0x202;
    assert_true(pv_can_interrupt(&state));
    state.interruptibility = 8; // blocking by NMI does not matter
    assert_true(pv_can_interrupt(&state));
    for (uint32_t blocking = 1; blocking <= 3; blocking++) {
        state.interruptibility = blocking;
        assert_false(pv_can_interrupt(&state));
    }
    state.interruptibility = 0;
    state.rflags = 2;
    assert_false(pv_can_interrupt(&state));
    state.rflags = 0x202;
    state.vectoring_info = 0x80000020;
    assert_false(pv_can_interrupt(&state));
    state.vectoring_info = 0;
    assert_true(pv_inject(&state, PV_TYPE_INTERRUPT, 0x40));
    assert_false(pv_can_interrupt(&state));
}

// ---- starting states ----

static void starts_in_real_mode(void **unused)
{
    (void)unused;
    pv_start_real(&state, 0xf000, 0xfff0, 0x7000);
    assert_int_equal(state.segment[PV_CS].base, 0xf0000);
    assert_int_equal(state.rip, 0xfff0);
    assert_int_equal(state.rsp, 0x7000);
    assert_int_equal(state.rflags, 2);
    assert_int_equal(state.cr0 & 0x80000001, 0); // neither paging nor protection
    assert_int_equal(state.segment[PV_DS].limit, 0xffff);
    assert_int_equal(state.dirty,
                     PV_GROUP_RIP | PV_GROUP_FLAGS | PV_GROUP_CONTROL | PV_GROUP_SEGMENTS | PV_GROUP_STATE);
}

static void starts_with_4_mib_pages(void **unused)
{
    const struct pv_guest_memory memory = some_memory();
    (void)unused;
    assert_true(pv_start_paged32(&state, &memory, 0x1000, 0x8000, 0x7000));
    const uint32_t *directory = pv_guest_pointer(&memory, 0x1000, PV_TABLES32_SIZE);
    for (uint32_t i = 0; i < 1024; i++)
        assert_int_equal(directory[i], i << 22 | 0x83);
    assert_int_equal(state.cr3, 0x1000);
    assert_int_equal(state.cr0 & 0x80000001, 0x80000001);
    assert_int_equal(state.cr4 & 0x30, 0x10); // PSE, not PAE
    assert_int_equal(state.efer, 0);
    assert_int_equal(state.gdtr.base, 0x2000);
    assert_false(pv_start_paged32(&state, &memory, 0xff000, 0x8000, 0x7000)); // the GDT would be outside
}

/// What the guest's page tables make of an address: only levels that the library builds. 0: not mapped.
static uint64_t walk(const struct pv_guest_memory *memory, uint64_t cr3, uint64_t address)
{
    uint64_t table = cr3;
    for (unsigned shift = 39; shift >= 21; shift -= 9) {
        const uint64_t *entries = pv_guest_pointer(memory, table, PV_PAGE_SIZE);
        const uint64_t entry = entries[address >> shift & 511];
        if ((entry & 1) == 0)
            return 0;
        if (shift == 21)
            return (entry & 0x80) != 0 ? (entry & ~UINT64_C(0xfff)) + (address & 0x1fffff) : 0;
        table = entry & ~UINT64_C(0xfff);
    }
    return 0;
}

static void starts_in_64_bits(void **unused)
{
    const struct pv_guest_memory memory = some_memory();
    (void)unused;
    assert_true(pv_start_long(&state, &memory, 0x1000, 0x8000, 0x7000));
    assert_int_equal(walk(&memory, state.cr3, 0x12345678), 0x12345678);
    assert_int_equal(walk(&memory, state.cr3, 0x3fffffff), 0x3fffffff);
    assert_int_equal(walk(&memory, state.cr3, 0x40000000), 0);
    assert_int_equal(state.efer & 0x500, 0x500);
    assert_int_equal(state.segment[PV_CS].access, 0xa09b);
    assert_int_equal(state.segment[PV_CS].selector, PV_SELECTOR_CODE64);
    const uint64_t *gdt = pv_guest_pointer(&memory, state.gdtr.base, state.gdtr.limit + 1);
    assert_true(gdt[PV_SELECTOR_CODE64 / 8] == UINT64_C(0x00af9b000000ffff));
    assert_int_equal(state.segment[PV_TR].access, 0x8b);
    assert_false(pv_start_long(&state, &memory, 0xfe000, 0x8000, 0x7000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(allocates_pages_from_the_end, clear_state),
        cmocka_unit_test_setup(aligns_and_clears, clear_state),
        cmocka_unit_test_setup(large_pages_lose_nothing_to_single_ones, clear_state),
        cmocka_unit_test_setup(ends_with_the_pool, clear_state),
        cmocka_unit_test_setup(makes_guests, clear_state),
        cmocka_unit_test_setup(knows_a_guests_bounds, clear_state),
        cmocka_unit_test_setup(decodes_io, clear_state),
        cmocka_unit_test_setup(moves_io_data, clear_state),
        cmocka_unit_test_setup(skips_instructions, clear_state),
        cmocka_unit_test_setup(answers_cpuid_and_rdmsr, clear_state),
        cmocka_unit_test_setup(keeps_msrs_in_the_state_page, clear_state),
        cmocka_unit_test_setup(refuses_what_wrmsr_would, clear_state),
        cmocka_unit_test_setup(injects_one_event, clear_state),
        cmocka_unit_test_setup(requests_stand_beside_events, clear_state),
        cmocka_unit_test_setup(page_faults_bring_their_address, clear_state),
        cmocka_unit_test_setup(tells_when_interrupts_can_come, clear_state),
        cmocka_unit_test_setup(lets_interrupted_deliveries_go_first, clear_state),
        cmocka_unit_test_setup(starts_in_real_mode, clear_state),
        cmocka_unit_test_setup(starts_with_4_mib_pages, clear_state),
        cmocka_unit_test_setup(starts_in_64_bits, clear_state),
    };
    return cmocka_run_group_tests(tests, make_pool, NULL);
}
