// SPDX-License-Identifier: Apache-2.0
/// System calls with all kinds of arguments.
#include <string.h>

#include "arch/x86/paging.h"
#include "arch/x86/registers.h"
#include "arch/x86/vmx/vmcs_fields.h"
#include "syscall.h"
#include "vmm/net_port.h"
#include "vmm/personality.h"
#include "vmm/space.h"

enum {
    DEBUG_OPERATIONS = 46, // one more than the last, and one that there is not
    STATE_PAGES = 12,      // the pool's first pages: one for what calls point to, then state pages
    OTHERS = 4,            // one call in so many: the other personalities' states are compared, too
    RARE = 8,              // one end of a personality in so many
    GO_ON = 0xc0,          // the first byte of a step: below it an unfinished call goes on
    SCRIBBLE = 0xe0,       // from here on the state page is written to; otherwise it is the call, or:
    UNKNOWN = PV_SYSCALL_COUNT,
    PAGE_FAULT,
    BAD_SYSENTER,
    WHATS,
};

struct call {
    uint32_t core;
    struct personality *p;
    uint64_t number;
    uint64_t a[5];
};

static uint8_t *pool(const struct personality *p, uint64_t offset)
{
    machine_touch(p->memory + offset);
    return phys_to_virt(p->memory + offset);
}

/// Puts records where a pointer leads when that is in the pool, as far as they fit.
static void put(const struct personality *p, uint64_t pointer, const void *records, uint64_t size)
{
    uint64_t offset = pointer - PV_POOL_VA;
    for (uint64_t i = 0; i < size && offset + i < p->pool_size; i++) {
        pool(p, offset + i)[0] = ((const uint8_t *)records)[i];
    }
}

/* ---- arguments ---- */

static void space_arguments(struct call *c, struct input *in)
{
    c->a[0] = input_number(in, PV_MAX_SPACES);
    c->a[1] = input_pages(in, UINT64_C(1) << 40); // up to the width of physical addresses
}

/// Offset and size of a part of the pool; sometimes one that ends just at its end, or a page off.
static void pool_part(struct call *c, unsigned offset, unsigned size, struct input *in)
{
    c->a[offset] = input_pages(in, c->p->pool_size);
    c->a[size] = input_pages(in, c->p->pool_size);
    uint8_t end = input_byte(in);
    if (end >= 0xc0) {
        c->a[size] = c->p->pool_size - c->a[offset] + (end % 3) * (uint64_t)PAGE_SIZE - PAGE_SIZE;
    }
}

/// Mostly something that is mapped, or a part of it.
static void choose_mapped(struct call *c, uint8_t how)
{
    const struct space *space = c->a[0] < PV_MAX_SPACES ? c->p->spaces[c->a[0]] : NULL;
    size_t count = 0;
    const struct machine_leaf *leaves =
        space && space->ept.root ? machine_ept(space->ept.root, &count, NULL, NULL) : NULL;
    if (count && how < 0xc0) {
        const struct machine_leaf *leaf = &leaves[how % count];
        c->a[1] = leaf->gpa + (how & 0x40 ? leaf->size / 2 & ~UINT64_C(0xfff) : 0);
        c->a[2] = how & 0x80 ? PAGE_SIZE : leaf->size;
    }
}

static void map_arguments(struct call *c, struct input *in)
{
    space_arguments(c, in);
    pool_part(c, 2, 3, in);
    uint8_t how = input_byte(in);
    c->a[4] =
        how < 0xf0 ? (how & 7u) | (how & 0x40 ? (uint64_t)PV_MEMORY_UC : (uint64_t)PV_MEMORY_WB) << 8 : input_value(in);
}

static void create_arguments(struct call *c, struct input *in)
{
    uint8_t page = input_byte(in);
    c->a[0] = input_number(in, PV_MAX_SPACES);
    c->a[1] = page < 0xe0 ? (uint64_t)(1 + page % (STATE_PAGES - 1)) * PAGE_SIZE : input_pages(in, c->p->pool_size);
    uint8_t registers = input_byte(in);
    c->a[2] = registers < 0xc0 ? PV_OWN_REGISTERS : input_number(in, PV_MAX_VCPUS);
}

static void run_arguments(struct call *c, struct input *in)
{
    uint8_t budget = input_byte(in);
    c->a[0] = input_number(in, PV_MAX_VCPUS);
    c->a[1] = budget < 0xf0 ? (uint64_t)budget * 1000 : input_value(in);
    uint8_t more = budget & 1 ? input_byte(in) : 0;
    c->a[2] = more & 1 ? machine_tsc + input_value(in) % 100000 : more & 2 ? input_value(in) : 0;
    c->a[3] = more & 4 ? UINT64_C(1) << more / 8 : more & 8 ? input_value(in) : 0;
}

/// Any field, but more often those that matter.
static uint32_t choose_field(struct input *in)
{
    static const uint32_t likely[] = {
        VMCS_PIN_CONTROLS,
        VMCS_PRIMARY_CONTROLS,
        VMCS_SECONDARY_CONTROLS,
        VMCS_EXIT_CONTROLS,
        VMCS_ENTRY_CONTROLS,
        VMCS_EXCEPTION_BITMAP,
        VMCS_CR0_GUEST_HOST_MASK,
        VMCS_CR4_GUEST_HOST_MASK,
        VMCS_GUEST_CR0,
        VMCS_GUEST_CR4,
        VMCS_GUEST_IA32_EFER,
        VMCS_GUEST_DR7,
        VMCS_GUEST_RFLAGS,
        VMCS_GUEST_ACTIVITY,
        VMCS_GUEST_INTERRUPTIBILITY,
        VMCS_GUEST_IA32_DEBUGCTL,
        VMCS_CR3_TARGET_COUNT,
        VMCS_ENTRY_INTERRUPTION_INFO,
        VMCS_TSC_OFFSET,
        VMCS_GUEST_CS_ACCESS_RIGHTS,
        VMCS_EPT_POINTER,
        VMCS_VPID,
        VMCS_MSR_BITMAP,
        VMCS_IO_BITMAP_A,
        VMCS_LINK_POINTER,
        VMCS_HOST_RIP,
        VMCS_HOST_CR3,
        VMCS_GUEST_PREEMPTION_TIMER,
        VMCS_EXIT_MSR_LOAD_COUNT,
        VMCS_VIRTUAL_APIC_ADDRESS,
        VMCS_PML_ADDRESS,
        VMCS_TERTIARY_CONTROLS,
    };
    size_t fields;
    const struct vmcs_field_info *all = vmcs_fields(&fields);
    uint8_t which = input_byte(in);
    if (which < 0xc0) {
        return likely[which % (sizeof(likely) / sizeof(likely[0]))];
    }
    return which < 0xf0 ? all[input_byte(in) % fields].encoding : (uint32_t)input_value(in);
}

static void vmcs_arguments(struct call *c, struct input *in)
{
    enum { MOST = 8 };
    struct pv_vmcs_entry entries[MOST] = {0};
    uint8_t count = input_byte(in);
    c->a[0] = input_number(in, PV_MAX_VCPUS);
    c->a[2] = count < 0xf0 ? 1 + count % MOST : input_value(in);
    c->a[1] = input_pointer(in, c->p, c->a[2] * sizeof(entries[0]));
    for (uint64_t i = 0; i < c->a[2] && i < MOST; i++) {
        entries[i].field = choose_field(in);
        entries[i].value = input_value(in);
    }
    put(c->p, c->a[1], entries, sizeof(entries));
}

/// Leaves and MSRs that exits ask for, too.
static void table_arguments(struct call *c, struct input *in)
{
    enum { MOST = 4 };
    uint8_t count = input_byte(in);
    bool cpuid = c->number == PV_SYS_VCPU_CPUID;
    uint64_t size = cpuid ? sizeof(struct pv_cpuid_entry) : sizeof(struct pv_msr_entry);
    c->a[0] = input_number(in, PV_MAX_VCPUS);
    c->a[2] = count < 0xe0 ? count % (MOST + 1) : count < 0xf0 ? 94 + count % 8 : input_value(in);
    c->a[1] = input_pointer(in, c->p, c->a[2] * size);
    for (uint64_t i = 0; i < MOST; i++) {
        uint32_t key = input_byte(in) % 4;
        struct pv_cpuid_entry leaf = {.leaf = key, .subleaf = key & 1 ? PV_CPUID_ANY : 0, .eax = key + 1};
        struct pv_msr_entry msr = {.msr = key, .value = key + 1};
        put(c->p, c->a[1] + i * size, cpuid ? (const void *)&leaf : &msr, size);
    }
}

static void allow_arguments(struct call *c, struct input *in)
{
    static const uint32_t places[] = {0x1a0,      0xc0000105, 0x300, 0x7ff0, 0x1ff8,
                                      0xc0001ff8, 0xfff8,     0x170, 0x800,  0x830};
    uint8_t first = input_byte(in), how = input_byte(in);
    c->a[0] = input_number(in, PV_MAX_VCPUS);
    c->a[1] = first < 0xf0 ? places[first % 10] + first / 8 % 16 : input_value(in);
    c->a[2] = input_number(in, 40);
    c->a[3] = how < 0xf8 ? how % 4 : input_value(in);
}

static void memory_arguments(struct call *c, struct input *in)
{
    uint8_t place = input_byte(in);
    c->a[0] = place < 0xf0 ? PV_USER_MAP_MIN + (place & 0xf) * PAGE_SIZE + (uint64_t)(place >> 4) * PAGE_SIZE_1G / 4
                           : PV_USER_MAP_MAX - input_pages(in, PAGE_SIZE_2M);
    pool_part(c, 1, 2, in);
    c->a[3] = input_number(in, 2);
}

static void event_arguments(struct call *c, struct input *in)
{
    uint8_t what = input_byte(in);
    if (c->number == PV_SYS_EVENT_WAIT) {
        c->a[0] = what < 0xe0 ? (what & 7) | (uint64_t)PV_EVENT_USER << what % 4 : input_value(in);
        uint8_t until = input_byte(in);
        c->a[1] = until < 0xc0 ? machine_tsc + (uint64_t)until * 10000 : input_value(in);
    } else {
        c->a[0] = input_number(in, c->p->agent_count);
        c->a[1] = what < 0xe0 ? (uint64_t)PV_EVENT_USER << what % 4 : input_value(in);
    }
}

static void console_arguments(struct call *c, struct input *in)
{
    uint8_t size = input_byte(in);
    c->a[1] = size < 0xe0 ? size : input_pages(in, PV_CONSOLE_SIZE);
    c->a[0] = input_pointer(in, c->p, c->a[1]);
    c->a[2] = input_number(in, 2);
}

/// A frame, often with a source address that may be sent, to somebody or to all.
static void net_arguments(struct call *c, struct input *in)
{
    enum { SOURCE = 6, ANYBODY = 4, GROUP = 1 };
    uint8_t addresses[2 * SOURCE] = {0};
    uint8_t how = input_byte(in);
    c->a[1] = how < 0xf0 ? how * 7 : input_pages(in, 2 * PAGE_SIZE);
    c->a[0] = input_pointer(in, c->p, c->a[1]);
    net_address(how % ANYBODY, addresses);
    net_address(c->p->id, addresses + SOURCE);
    addresses[0] |= how & 0x10 ? GROUP : 0;
    if (c->number == PV_SYS_NET_SEND && !(how & 0x20)) {
        put(c->p, c->a[0], addresses, sizeof(addresses));
    }
}

/// A table in the pool, sometimes one that ends just at its end, or a byte or a row off.
static void device_arguments(struct call *c, struct input *in)
{
    uint8_t end = input_byte(in);
    c->a[1] = input_number(in, PV_MAX_DEVICES + 2);
    c->a[0] = end >= 0x80 ? c->p->pool_size - c->a[1] * sizeof(struct pv_device) + end % 9 - 8 : input_value(in);
}

static void debug_arguments(struct call *c, struct input *in)
{
    static const uint32_t fields[] = {VMCS_GUEST_RIP, VMCS_HOST_RIP, VMCS_PML_ADDRESS, VMCS_EXIT_REASON, 0xffff};
    uint8_t size = input_byte(in);
    c->a[0] = input_byte(in) % DEBUG_OPERATIONS;
    c->a[1] = input_number(in, MACHINE_PERSONALITIES);
    c->a[2] = input_value(in);
    switch (c->a[0]) {
    case PV_DEBUG_REBOOT:
    case PV_DEBUG_POWEROFF:
        c->a[0] = PV_DEBUG_RESTART;
        break;
    case PV_DEBUG_PIN:
        c->a[2] = input_number(in, 4);
        break;
    case PV_DEBUG_POLICY:
        c->a[2] = input_byte(in) * UINT64_C(50);
        break;
    case PV_DEBUG_VMCS:
        c->a[2] = fields[input_byte(in) % (sizeof(fields) / sizeof(fields[0]))];
        // fallthrough
    case PV_DEBUG_EXITS:
        c->a[1] = PV_VCPU_ID(c->a[1], input_number(in, PV_MAX_VCPUS));
        break;
    case PV_DEBUG_ARM:
    case PV_DEBUG_REGISTERS:
    case PV_DEBUG_SET_REGISTERS:
    case PV_DEBUG_GUEST_READ:
    case PV_DEBUG_GUEST_WRITE:
    case PV_DEBUG_STEP:
    case PV_DEBUG_PASS:
    case PV_DEBUG_WHY_STOPPED:
        c->a[1] = PV_VCPU_ID(c->a[1], input_number(in, 2));
        c->a[2] %= PAGE_SIZE;
        break;
    case PV_DEBUG_WATCH:
        c->a[2] &= 1;
        break;
    case PV_DEBUG_PEEK:
        c->a[1] = MACHINE_RAM_BASE + input_pages(in, MACHINE_RAM_SIZE);
        break;
    default:
        break;
    }
    c->a[4] = size < 0x80 ? (uint64_t)size * 8 : input_pages(in, 2 * PAGE_SIZE);
    c->a[3] = input_pointer(in, c->p, c->a[4]);
}

/* ---- the state page ---- */

/// Ring 3 writes what it likes into a vcpu's state page.
static void scribble(const struct personality *p, struct input *in)
{
    const struct vcpu *vcpu = p->vcpus[input_byte(in) % 4];
    uint64_t offset = vcpu ? (uint64_t)((uint8_t *)vcpu->state - (uint8_t *)phys_to_virt(p->memory)) : PAGE_SIZE;
    struct pv_vcpu_state *s = (struct pv_vcpu_state *)pool(p, offset);
    uint8_t what = input_byte(in);
    s->dirty = s->fill = what;
    switch (what >> 5) {
    case 0:
        s->rip = input_value(in);
        s->rsp = input_value(in);
        s->rflags = input_value(in);
        break;
    case 1:
        s->cr0 = input_value(in);
        s->cr4 = input_value(in);
        s->efer = input_value(in);
        break;
    case 2:
        s->segment[what % PV_SEGMENTS].access = (uint32_t)input_value(in);
        s->segment[what % PV_SEGMENTS].limit = (uint32_t)input_value(in);
        break;
    case 3:
        s->interruptibility = (uint32_t)input_value(in);
        s->activity = (uint32_t)input_number(in, 4);
        break;
    case 4:
        s->star = input_value(in);
        s->lstar = input_value(in);
        s->sfmask = input_value(in);
        s->kernel_gs_base = input_value(in);
        s->tsc_aux = input_value(in);
        break;
    case 5:
        s->inject = (uint32_t)input_value(in) | UINT32_C(0x80000000);
        break;
    case 6:
        s->inject = UINT32_C(0x80000020); // an interrupt
        break;
    default:
        for (unsigned i = 0; i < PV_GPRS; i++) {
            s->gpr[i] = what;
        }
        break;
    }
}

/* ---- making calls ---- */

static void fill_arguments(struct call *c, struct input *in)
{
    switch (c->number) {
    case PV_SYS_CONSOLE_WRITE:
    case PV_SYS_CONSOLE_READ:
        console_arguments(c, in);
        break;
    case PV_SYS_NET_SEND:
    case PV_SYS_NET_RECEIVE:
        net_arguments(c, in);
        break;
    case PV_SYS_EVENT_WAIT:
    case PV_SYS_EVENT_SIGNAL:
        event_arguments(c, in);
        break;
    case PV_SYS_MEMORY_MAP:
        memory_arguments(c, in);
        break;
    case PV_SYS_DEBUG:
        debug_arguments(c, in);
        break;
    case PV_SYS_DEVICES:
        device_arguments(c, in);
        break;
    case PV_SYS_SPACE_MAP:
        map_arguments(c, in);
        break;
    case PV_SYS_SPACE_UNMAP:
        space_arguments(c, in);
        c->a[2] = input_pages(in, c->p->pool_size);
        choose_mapped(c, input_byte(in));
        break;
    case PV_SYS_SPACE_DESTROY:
        c->a[0] = input_number(in, PV_MAX_SPACES);
        break;
    case PV_SYS_VCPU_CREATE:
        create_arguments(c, in);
        break;
    case PV_SYS_VCPU_RUN:
        run_arguments(c, in);
        break;
    case PV_SYS_VCPU_MOVE:
    case PV_SYS_VCPU_KICK:
    case PV_SYS_VCPU_DESTROY:
        c->a[0] = input_number(in, PV_MAX_VCPUS);
        break;
    case PV_SYS_VMCS_READ:
    case PV_SYS_VMCS_WRITE:
        vmcs_arguments(c, in);
        break;
    case PV_SYS_VCPU_CPUID:
    case PV_SYS_VCPU_MSRS:
        table_arguments(c, in);
        break;
    case PV_SYS_MSR_ALLOW:
    case PV_SYS_IO_ALLOW:
        allow_arguments(c, in);
        break;
    case PV_SYS_VCPU_APIC:
        c->a[1] = input_byte(in) % 64; // enum pv_apic bits, and one that is none
        c->a[2] = input_pages(in, c->p->pool_size);
        c->a[3] = input_pages(in, c->p->pool_size);
        break;
    default:
        break;
    }
}

/// What guests may rely on from now on.
static void expect(const struct call *c, int64_t result, uint32_t dirty)
{
    const struct vcpu *vcpu = c->a[0] < PV_MAX_VCPUS ? c->p->vcpus[c->a[0]] : NULL;
    if (c->number == PV_SYS_VCPU_CREATE && result >= 0) {
        machine_expect_new(c->p->vcpus[result], c->a[2] == PV_OWN_REGISTERS ? NULL : c->p->vcpus[c->a[2]]);
        machine_touch(c->p->memory + c->a[1]);
    }
    if (c->number == PV_SYS_VCPU_RUN && vcpu && dirty && vcpu->state->dirty == 0) { // it was taken
        machine_expect_groups(vcpu, vcpu->state, dirty);
    }
}

/// A call may stop in the middle of a list only of VMCS fields, when the list itself cannot be read; others do a part at
/// a time.
static bool may_change_something(const struct call *c, int64_t result)
{
    return result == PV_ERR_AGAIN ||
           ((c->number == PV_SYS_VMCS_READ || c->number == PV_SYS_VMCS_WRITE) && result == PV_ERR_FAULT);
}

static uint64_t states_but(const struct personality *p)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < personality_count; i++) {
        sum = sum * 31 + (&personalities[i] == p ? 0 : state_of(&personalities[i]));
    }
    return sum;
}

/// Calls that were not finished, by personality and agent: they can go on only as they were.
static struct call unfinished[MACHINE_PERSONALITIES][MACHINE_CORES];

void forget_unfinished(void)
{
    memset(unfinished, 0, sizeof(unfinished));
}

static void make_call(struct call *c)
{
    int64_t result;
    const struct vcpu *vcpu = c->a[0] < PV_MAX_VCPUS ? c->p->vcpus[c->a[0]] : NULL;
    uint32_t dirty = c->number == PV_SYS_VCPU_RUN && vcpu ? vcpu->state->dirty : 0;
    bool look_at_others = c->number != PV_SYS_DEBUG && machine_tsc / 4 % OTHERS == 0;
    uint64_t before = state_of(c->p), others = look_at_others ? states_but(c->p) : 0;
    uint32_t agent = ((const struct agent *)cores[c->core].main_stack->current)->index;
    bool returned = machine_syscall(c->core, c->number, c->a, &result);
    unfinished[c->p->id][agent] = returned && result == PV_ERR_AGAIN ? *c : (struct call){0};
    expect(c, result, dirty);
    if (returned) {
        MACHINE_CHECK(result >= PV_ERR_AGAIN, "call %lu: result %ld", c->number, result);
        MACHINE_CHECK(result >= 0 || may_change_something(c, result) || state_of(c->p) == before,
                      "call %lu failed with %ld and has changed something", c->number, result);
        MACHINE_CHECK(!look_at_others || states_but(c->p) == others,
                      "call %lu has changed something of another personality", c->number);
    }
    machine_resume(c->core);
    check_personality(c->p);
}

void do_call(uint32_t core, struct input *in)
{
    struct agent *agent = (struct agent *)cores[core].main_stack->current;
    struct call c = {.core = core, .p = agent->personality};
    uint8_t what = input_byte(in);
    struct call *again = &unfinished[c.p->id][agent->index];
    if (again->p && what < GO_ON) {
        again->core = core;
        c = *again;
        make_call(&c);
        return;
    }
    if (what >= SCRIBBLE) {
        scribble(c.p, in);
        return;
    }
    c.number = what % WHATS;
    bool ends = c.number == PV_SYS_EXIT || c.number == PAGE_FAULT || c.number == BAD_SYSENTER;
    if (ends && (c.p->config->debug || input_byte(in) % RARE)) { // the monitor would start again, but not for ever
        c.number = PV_SYS_VCPU_RUN;
    }
    if (c.number == PAGE_FAULT) {
        machine_exception(core, VECTOR_PF, input_value(in));
    } else if (c.number == BAD_SYSENTER) {
        machine_bad_sysenter(core);
    } else {
        fill_arguments(&c, in);
        make_call(&c);
    }
}
