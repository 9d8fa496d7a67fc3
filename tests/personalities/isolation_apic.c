// SPDX-License-Identifier: Apache-2.0
// A personality has APIC virtualization in every combination, and tries to get its guest to the core's own local APIC: by MSRs that
// the processor does not virtualize, by turning the controls off behind open MSRs, by CR8, by pages that are not its own.
#include "isolation.h"

enum { FEATURES = 32, FIRST = 0x800, MSRS = 0x100, MARK = 0x5a, ICR = 0x830 };

GUEST_CODE(reader, 64, "cli; rdmsr; hlt");
GUEST_CODE(writer, 64, "cli; wrmsr; hlt");
GUEST_CODE(priority, 64, "cli; mov %cr8, %rax; hlt");
GUEST_CODE(raiser, 64, "cli; mov $15, %eax; mov %rax, %cr8; hlt");

static struct guest guest;
static uint64_t page, access_page;
static const uint32_t full = PV_APIC_TPR | PV_APIC_X2APIC | PV_APIC_REGISTERS | PV_APIC_INTERRUPTS;

static void start(const char *code, const char *end, uint32_t msr)
{
    guest_start(&guest, GUEST_LONG, code, end);
    guest.vcpu.state->gpr[PV_RCX] = msr;
    guest.vcpu.state->gpr[PV_RAX] = guest.vcpu.state->gpr[PV_RDX] = 0;
}

/// The page that stands for the APIC answers with a mark that no real register holds.
static void mark_page(void)
{
    uint8_t *bytes = pv_pool_pointer(page);
    for (uint32_t i = 0; i < PV_PAGE_SIZE; i++)
        bytes[i] = MARK;
    *(uint32_t *)(bytes + 0x80) = MARK;
}

/// A read that does not exit must have got the page's bytes.
static bool reads_the_page(uint32_t msr)
{
    mark_page();
    start(reader, reader_end, msr);
    const int64_t reason = guest_run(&guest);
    const uint32_t expected = msr == 0x808 ? MARK : MARK * UINT32_C(0x01010101);
    return reason == PV_EXIT_RDMSR ||
           (reason == PV_EXIT_HLT && (msr == 0x80a || guest.vcpu.state->gpr[PV_RAX] == expected));
}

/// Opens all that can be opened, MSR by MSR, and counts reads and writes that went through.
static void open_all(uint32_t *reads, uint32_t *writes)
{
    *reads = *writes = 0;
    for (uint32_t i = 0; i < MSRS; i++) {
        const uint32_t read = pv_msr_allow(guest.vcpu.id, FIRST + i, 1, PV_GRANT_READ) >= 0;
        const uint32_t both = pv_msr_allow(guest.vcpu.id, FIRST + i, 1, PV_GRANT_READ | PV_GRANT_WRITE) >= 0;
        *reads += read;
        *writes += both || pv_msr_allow(guest.vcpu.id, FIRST + i, 1, PV_GRANT_WRITE) >= 0;
    }
}

static void try_combination(uint32_t features)
{
    uint32_t reads, writes, wrong = 0;
    const bool mode = (features & PV_APIC_X2APIC) != 0;
    const uint32_t reads_allowed = !mode ? 0 : (features & PV_APIC_REGISTERS) != 0 ? MSRS : 1;
    const uint32_t writes_allowed = !mode ? 0 : (features & PV_APIC_INTERRUPTS) != 0 ? 3 : 1;
    open_all(&reads, &writes);
    isolation_check(reads == reads_allowed && writes == writes_allowed, "MSRs that the page does not stand for",
                    features);
    pv_msr_allow(guest.vcpu.id, FIRST, MSRS, PV_GRANT_NONE);
    for (uint32_t i = 0; i < MSRS; i++)
        pv_msr_allow(guest.vcpu.id, FIRST + i, 1, PV_GRANT_READ);
    for (uint32_t i = 0; i < MSRS; i++)
        wrong += !reads_the_page(FIRST + i);
    isolation_check(wrong == 0, "reads of the core's APIC", wrong);
    start(writer, writer_end, ICR);
    isolation_check(guest_run(&guest) == PV_EXIT_WRMSR, "an interrupt command", features);
    *(uint32_t *)((uint8_t *)pv_pool_pointer(page) + 0x80) = MARK;
    const bool shadow = (features & PV_APIC_TPR) != 0;
    start(priority, priority_end, 0);
    const int64_t read = guest_run(&guest);
    isolation_check(shadow ? read == PV_EXIT_HLT && guest.vcpu.state->gpr[PV_RAX] == MARK >> 4
                           : read == PV_EXIT_CR_ACCESS,
                    "reading the core's priority", read);
    start(raiser, raiser_end, 0);
    const int64_t raised = guest_run(&guest);
    isolation_check(raised == (shadow ? PV_EXIT_HLT : PV_EXIT_CR_ACCESS), "raising the core's priority", raised);
}

/// MSRs that were open must be closed when what made them harmless ends.
static void try_to_keep_msrs(void)
{
    uint32_t reads, writes;
    pv_vcpu_apic(guest.vcpu.id, full, page, 0);
    open_all(&reads, &writes);
    isolation_check(reads == MSRS && writes == 3, "no more than it should have", writes);
    pv_vcpu_apic(guest.vcpu.id, 0, 0, 0);
    uint32_t through = 0;
    for (uint32_t i = 0; i < MSRS; i++) {
        start(reader, reader_end, FIRST + i);
        through += guest_run(&guest) != PV_EXIT_RDMSR;
        start(writer, writer_end, FIRST + i);
        through += guest_run(&guest) != PV_EXIT_WRMSR;
    }
    isolation_check(through == 0, "MSRs that were open before", through);
    pv_vcpu_apic(guest.vcpu.id, full, page, 0);
    start(reader, reader_end, 0x802);
    isolation_check(guest_run(&guest) == PV_EXIT_RDMSR, "MSRs that were open before, with the controls on again", 0);
}

static void try_pages(uint64_t pool_size)
{
    const uint64_t vcpu = guest.vcpu.id,
                   bad[] = {pool_size, 1, 8, UINT64_MAX, UINT64_MAX - 4095, pool_size - 1, UINT64_C(1) << 63};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        isolation_call("a virtual-APIC page that is none", pv_vcpu_apic(vcpu, full, bad[i], 0));
        isolation_call("an APIC-access page that is none", pv_vcpu_apic(vcpu, PV_APIC_ACCESSES, 0, bad[i]));
    }
    isolation_call("another vcpu's APIC", pv_vcpu_apic(vcpu + 1, full, page, 0));
}

int main(const struct pv_info *info, uint32_t agent)
{
    if (agent != 0)
        return 0;
    if (!guest_open(&guest))
        return 2;
    page = pv_pool_alloc(PV_PAGE_SIZE, PV_PAGE_SIZE);
    access_page = pv_pool_alloc(PV_PAGE_SIZE, PV_PAGE_SIZE);
    guest.vcpu.state->fill = 0;
    uint32_t accepted = 0;
    for (uint32_t features = 0; features < FEATURES; features++) {
        const uint32_t both = PV_APIC_X2APIC | PV_APIC_ACCESSES;
        const bool alone = (features & PV_APIC_TPR) == 0 && (features & ~(uint32_t)PV_APIC_ACCESSES) != 0;
        const bool bad = (features & both) == both || alone;
        const int64_t result = pv_vcpu_apic(guest.vcpu.id, features, page, access_page);
        isolation_check(bad ? result == PV_ERR_INVALID : result >= 0 || result == PV_ERR_UNSUPPORTED, "a combination",
                        features);
        accepted += result >= 0;
        if (result >= 0)
            try_combination(features);
    }
    pv_printf("%u combinations\n", accepted);
    isolation_call("a feature that there is not", pv_vcpu_apic(guest.vcpu.id, FEATURES, page, 0));
    if (pv_vcpu_apic(guest.vcpu.id, full, page, 0) >= 0)
        try_to_keep_msrs();
    try_pages(info->pool_size);
    return isolation_verdict();
}
