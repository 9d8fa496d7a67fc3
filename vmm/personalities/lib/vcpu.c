// SPDX-License-Identifier: Apache-2.0
// Memory of guests, exits and events. vcpu_start.c has the starting states.
#include "vcpu.h"

#include <stdatomic.h>

/* ---- the pool ---- */

static const struct pv_info *info_page(void)
{
#ifdef POLYVISOR_HOST // where that address is the address sanitizer's
    extern const struct pv_info *host_info_page;
    return host_info_page;
#else
    return (const struct pv_info *)PV_INFO_VA;
#endif
}

void pv_zero_pages(void *pages, uint64_t bytes)
{
    uint64_t words = bytes / sizeof(uint64_t);
    __asm__ volatile("rep stosq" : "+D"(pages), "+c"(words) : "a"(UINT64_C(0)) : "memory");
}

/// How much of the pool is handed out: pages at its beginning (low half), pages at its end (high half).
static _Atomic uint64_t handed_out;

enum { PAGES_BITS = 32 };

/// Where `pages` would come to lie, with `taken` handed out: at the beginning when they are aligned to more than a page, as the
/// beginning is; else at the end, so that nothing is lost between large ones. Updates `taken`. PV_POOL_FULL: no room.
static uint64_t place(uint64_t pool_pages, uint64_t pages, uint64_t alignment, uint64_t *taken)
{
    const uint64_t low = (uint32_t)*taken, high = *taken >> PAGES_BITS, end = pool_pages - high;
    if (alignment == 1) {
        if (pages > end - low)
            return PV_POOL_FULL;
        *taken = low | (high + pages) << PAGES_BITS;
        return end - pages;
    }
    const uint64_t start = (low + alignment - 1) & ~(alignment - 1);
    if (start > end || pages > end - start)
        return PV_POOL_FULL;
    *taken = (start + pages) | high << PAGES_BITS;
    return start;
}

uint64_t pv_pool_alloc(uint64_t bytes, uint64_t alignment)
{
    const struct pv_info *info = info_page();
    const uint64_t pool_pages = info->pool_size / PV_PAGE_SIZE;
    if (bytes > info->pool_size || alignment > info->pool_size)
        return PV_POOL_FULL;
    const uint64_t pages = (bytes + PV_PAGE_SIZE - 1) / PV_PAGE_SIZE;
    uint64_t seen = atomic_load(&handed_out), taken, start;
    do {
        taken = seen;
        start = place(pool_pages, pages, alignment / PV_PAGE_SIZE, &taken);
        if (start == PV_POOL_FULL)
            return PV_POOL_FULL;
    } while (!atomic_compare_exchange_weak(&handed_out, &seen, taken));
    pv_zero_pages(pv_pool_pointer(start * PV_PAGE_SIZE), pages * PV_PAGE_SIZE);
    return start * PV_PAGE_SIZE;
}

/* ---- guests ---- */

int64_t pv_guest_memory_create(struct pv_guest_memory *memory, uint64_t size)
{
    const bool large = size % PV_LARGE_PAGE_SIZE == 0;
    const uint64_t offset = pv_pool_alloc(size, large ? PV_LARGE_PAGE_SIZE : PV_PAGE_SIZE);
    if (offset == PV_POOL_FULL)
        return PV_ERR_QUOTA;
    const int64_t space = pv_space_create();
    if (space < 0)
        return space;
    *memory = (struct pv_guest_memory){.space = (uint64_t)space, .pool_offset = offset, .size = size};
    return pv_space_map(memory->space, 0, offset, size, PV_ACCESS_ALL, PV_MEMORY_WB);
}

void *pv_guest_pointer(const struct pv_guest_memory *memory, uint64_t gpa, size_t size)
{
    if (gpa > memory->size || size > memory->size - gpa)
        return NULL;
    return pv_pool_pointer(memory->pool_offset + gpa);
}

bool pv_guest_load(const struct pv_guest_memory *memory, uint64_t gpa, const void *data, size_t size)
{
    void *to = pv_guest_pointer(memory, gpa, size);
    if (to == NULL)
        return false;
    memcpy(to, data, size);
    return true;
}

bool pv_guest_load_image(const struct pv_guest_memory *memory, uint64_t gpa, const char *image, const char *image_end)
{
    return pv_guest_load(memory, gpa, image, (uintptr_t)image_end - (uintptr_t)image);
}

int64_t pv_vcpu_open(struct pv_vcpu *vcpu, uint64_t space)
{
    const uint64_t page = pv_pool_alloc(PV_PAGE_SIZE, PV_PAGE_SIZE);
    if (page == PV_POOL_FULL)
        return PV_ERR_QUOTA;
    const int64_t id = pv_vcpu_create(space, page, PV_OWN_REGISTERS);
    if (id < 0)
        return id;
    *vcpu = (struct pv_vcpu){.id = (uint64_t)id, .state = pv_pool_pointer(page)};
    return PV_OK;
}

/* ---- exits ---- */

const char *pv_exit_name(uint32_t reason)
{
    switch (reason) {
    case PV_EXIT_EXCEPTION:
        return "exception";
    case PV_EXIT_TRIPLE_FAULT:
        return "triple fault";
    case PV_EXIT_INTERRUPT_WINDOW:
        return "interrupt window";
    case PV_EXIT_CPUID:
        return "CPUID";
    case PV_EXIT_HLT:
        return "HLT";
    case PV_EXIT_VMCALL:
        return "VMCALL";
    case PV_EXIT_CR_ACCESS:
        return "control-register access";
    case PV_EXIT_IO:
        return "I/O";
    case PV_EXIT_RDMSR:
        return "RDMSR";
    case PV_EXIT_WRMSR:
        return "WRMSR";
    case PV_EXIT_PAUSE:
        return "PAUSE";
    case PV_EXIT_EPT_VIOLATION:
        return "EPT violation";
    case PV_EXIT_EPT_MISCONFIGURATION:
        return "EPT misconfiguration";
    case PV_EXIT_INVEPT:
        return "INVEPT";
    case PV_EXIT_INVVPID:
        return "INVVPID";
    case PV_EXIT_XSETBV:
        return "XSETBV";
    case PV_EXIT_TPR_BELOW_THRESHOLD:
        return "TPR below threshold";
    case PV_EXIT_APIC_ACCESS:
        return "APIC access";
    case PV_EXIT_VIRTUALIZED_EOI:
        return "virtualized EOI";
    case PV_EXIT_APIC_WRITE:
        return "APIC write";
    default:
        return reason >= PV_EXIT_VMCLEAR && reason <= PV_EXIT_VMXON ? "VMX instruction" : "exit";
    }
}

/// Bits of an I/O exit's qualification (SDM Vol. 3C table 28-5).
enum { IO_SIZE_MASK = 7, IO_IN = 1 << 3, IO_STRING = 1 << 4, IO_REPEATED = 1 << 5, IO_PORT_SHIFT = 16 };

struct pv_io pv_io_decode(uint64_t qualification)
{
    return (struct pv_io){
        .port = (uint16_t)(qualification >> IO_PORT_SHIFT),
        .size = (uint8_t)((qualification & IO_SIZE_MASK) + 1),
        .in = (qualification & IO_IN) != 0,
        .string = (qualification & IO_STRING) != 0,
        .repeated = (qualification & IO_REPEATED) != 0,
    };
}

/// The bits of EAX that an access of so many bytes concerns.
static uint32_t io_mask(const struct pv_io *io)
{
    return io->size == 4 ? UINT32_MAX : (UINT32_C(1) << (io->size * 8)) - 1;
}

uint32_t pv_io_value(const struct pv_vcpu_state *state, const struct pv_io *io)
{
    return (uint32_t)state->gpr[PV_RAX] & io_mask(io);
}

void pv_io_answer(struct pv_vcpu_state *state, const struct pv_io *io, uint32_t value)
{
    const uint64_t kept = io->size == 4 ? 0 : state->gpr[PV_RAX] & ~(uint64_t)io_mask(io);
    state->gpr[PV_RAX] = kept | (value & io_mask(io));
}

void pv_msr_answer(struct pv_vcpu_state *state, uint64_t value)
{
    state->gpr[PV_RAX] = value & UINT32_MAX;
    state->gpr[PV_RDX] = value >> 32;
}

/// MSRs that are part of the state page (SDM Vol. 4 table 2-2).
enum {
    MSR_SYSENTER_CS = 0x174,
    MSR_SYSENTER_ESP = 0x175,
    MSR_SYSENTER_EIP = 0x176,
};
static const uint32_t msr_star = 0xc0000081, msr_lstar = 0xc0000082, msr_sfmask = 0xc0000084, msr_fs_base = 0xc0000100,
                      msr_gs_base = 0xc0000101, msr_kernel_gs_base = 0xc0000102, msr_tsc_aux = 0xc0000103;

/// Where an MSR stands in the state page, and what its values are like.
struct msr_place {
    uint64_t *value; ///< NULL: not there
    uint32_t group;
    bool address; ///< values must be canonical
};

static struct msr_place find_msr(struct pv_vcpu_state *state, uint32_t msr)
{
    const struct {
        uint32_t msr;
        struct msr_place place;
    } places[] = {
        {MSR_SYSENTER_CS, {&state->sysenter_cs, PV_GROUP_SYSENTER, false}},
        {MSR_SYSENTER_ESP, {&state->sysenter_esp, PV_GROUP_SYSENTER, true}},
        {MSR_SYSENTER_EIP, {&state->sysenter_eip, PV_GROUP_SYSENTER, true}},
        {msr_star, {&state->star, PV_GROUP_MSRS, false}},
        {msr_lstar, {&state->lstar, PV_GROUP_MSRS, true}},
        {msr_sfmask, {&state->sfmask, PV_GROUP_MSRS, false}},
        {msr_fs_base, {&state->segment[PV_FS].base, PV_GROUP_SEGMENTS, true}},
        {msr_gs_base, {&state->segment[PV_GS].base, PV_GROUP_SEGMENTS, true}},
        {msr_kernel_gs_base, {&state->kernel_gs_base, PV_GROUP_MSRS, true}},
        {msr_tsc_aux, {&state->tsc_aux, PV_GROUP_MSRS, false}},
    };
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
        if (places[i].msr == msr)
            return places[i].place;
    return (struct msr_place){0};
}

/// Whether an address has 48 significant bits: the rest repeats bit 47.
static bool is_canonical(uint64_t address)
{
    return address + (UINT64_C(1) << 47) < UINT64_C(1) << 48;
}

bool pv_msr_state_read(const struct pv_vcpu_state *state, uint32_t msr, uint64_t *value)
{
    struct pv_vcpu_state *unchanged = (struct pv_vcpu_state *)(uintptr_t)state;
    const struct msr_place place = find_msr(unchanged, msr);
    if (place.value == NULL)
        return false;
    *value = *place.value;
    return true;
}

bool pv_msr_state_write(struct pv_vcpu_state *state, uint32_t msr, uint64_t value)
{
    const struct msr_place place = find_msr(state, msr);
    if (place.value == NULL || (place.address && !is_canonical(value)))
        return false;
    if ((msr == msr_sfmask || msr == msr_tsc_aux) && value > UINT32_MAX)
        return false; // reserved bits
    *place.value = value;
    state->dirty |= place.group;
    return true;
}

void pv_cpuid_answer(struct pv_vcpu_state *state, struct pv_cpuid value)
{
    state->gpr[PV_RAX] = value.eax;
    state->gpr[PV_RBX] = value.ebx;
    state->gpr[PV_RCX] = value.ecx;
    state->gpr[PV_RDX] = value.edx;
}

/// Interruptibility: blocking by STI and by MOV SS (SDM Vol. 3C table 25-3).
enum { BLOCKED_FOR_ONE_INSTRUCTION = 3 };

void pv_skip_instruction(struct pv_vcpu_state *state)
{
    state->rip += state->exit_instruction_length;
    state->dirty |= PV_GROUP_RIP;
    if (state->interruptibility & BLOCKED_FOR_ONE_INSTRUCTION) {
        state->interruptibility &= ~(uint32_t)BLOCKED_FOR_ONE_INSTRUCTION;
        state->dirty |= PV_GROUP_FLAGS;
    }
}

/* ---- events ---- */

enum { INJECT_TYPE_SHIFT = 8, RFLAGS_IF = 1 << 9 };

bool pv_inject(struct pv_vcpu_state *state, enum pv_inject_type type, uint8_t vector)
{
    if (pv_inject_pending(state) || (state->vectoring_info & PV_INJECT_VALID) != 0)
        return false;
    state->inject_error = 0;
    state->inject_length = 0;
    state->inject =
        (state->inject & PV_INJECT_REQUESTS) | PV_INJECT_VALID | (uint32_t)type << INJECT_TYPE_SHIFT | vector;
    return true;
}

bool pv_inject_error(struct pv_vcpu_state *state, uint8_t vector, uint32_t error)
{
    if (!pv_inject(state, PV_TYPE_EXCEPTION, vector))
        return false;
    state->inject |= PV_INJECT_ERROR_CODE;
    state->inject_error = error;
    return true;
}

bool pv_inject_page_fault(struct pv_vcpu_state *state, uint32_t error, uint64_t address)
{
    if (!pv_inject_error(state, PV_VECTOR_PF, error))
        return false;
    state->cr2 = address;
    state->dirty |= PV_GROUP_CR2;
    return true;
}

bool pv_can_interrupt(const struct pv_vcpu_state *state)
{
    return !pv_inject_pending(state) && (state->vectoring_info & PV_INJECT_VALID) == 0 &&
           (state->rflags & RFLAGS_IF) != 0 && (state->interruptibility & BLOCKED_FOR_ONE_INSTRUCTION) == 0;
}
