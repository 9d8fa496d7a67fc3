// SPDX-License-Identifier: Apache-2.0
/// What a debugger may do with guests: registers, memory, breakpoints, steps. The state of a vcpu is touched on its core.
#include <polyvisor/string.h>

#include "arch/x86/core.h"
#include "arch/x86/layout.h"
#include "arch/x86/paging.h"
#include "arch/x86/registers.h"
#include "arch/x86/vmx/caps.h"
#include "arch/x86/vmx/vmcs.h"
#include "arch/x86/vmx/vmx.h"
#include "vmm/debug_call.h"
#include "vmm/personality.h"
#include "vmm/space.h"
#include "vmm/user.h"
#include "vmm/vcpu.h"
#include "vmm/vcpu_debug.h"

_Static_assert(sizeof(struct pv_guest_registers) <= sizeof(((struct remote_call *)0)->data), "struct remote_call");

/* ---- on the vcpu's core ---- */

/// Something that is done with a vcpu whose VMCS is current. An enum pv_error.
typedef int64_t vcpu_action(struct vcpu *vcpu, struct remote_call *call);

/// As debug_read_vmcs does: the VMCS made current, and the one before put back.
static void run_on(struct message *message, vcpu_action *action)
{
    struct remote_call *call = (struct remote_call *)message;
    struct core *core = core_self();
    uint64_t id = call->arguments[1];
    struct agent *agent = debug_vcpu_agent(id);
    if (agent && sched_forward(agent, message)) {
        return;
    }
    struct vcpu *v = agent ? vcpu_of(agent, (uint32_t)id) : NULL, *before = core->current_vcpu;
    call->result = PV_ERR_NOT_FOUND;
    if (v && v->owner->id == id >> 32) {
        vcpu_open_vmcs(core, v);
        call->result = action(v, call);
        if (before) {
            vcpu_make_current(core, before);
        }
    }
    sched_unblock(call->agent);
}

static int64_t ask(const struct debug_call *call, void (*run)(struct message *), uint64_t bytes)
{
    const struct agent *agent = debug_vcpu_agent(call->a1);
    return agent ? debug_call_core(call, agent->core->id, run, bytes) : PV_ERR_NOT_FOUND;
}

static bool in_guest(const struct vcpu *v)
{
    return v->agent->regs.guest == v;
}

/// A field of the state page that the next entry will write, or what the VMCS holds.
static uint64_t pending(const struct vcpu *v, uint32_t group, const uint64_t *in_page, enum vmcs_field field)
{
    bool dirty = !in_guest(v) && (__atomic_load_n(&v->state->dirty, __ATOMIC_RELAXED) & group);
    return dirty ? __atomic_load_n(in_page, __ATOMIC_RELAXED) : vmcs_read(field);
}

/// As the guest sees it: bits of the guest/host mask come from the shadow.
static uint64_t shadowed(enum vmcs_field field, enum vmcs_field mask, enum vmcs_field shadow)
{
    uint64_t theirs = vmcs_read(mask);
    return (vmcs_read(field) & ~theirs) | (vmcs_read(shadow) & theirs);
}

static uint64_t rip_of(const struct vcpu *v)
{
    return pending(v, PV_GROUP_RIP, &v->state->rip, VMCS_GUEST_RIP);
}

static int64_t read_registers(struct vcpu *v, struct remote_call *call)
{
    const struct pv_vcpu_state *s = v->state;
    struct pv_guest_registers r = {
        .rip = rip_of(v),
        .rflags = pending(v, PV_GROUP_FLAGS, &s->rflags, VMCS_GUEST_RFLAGS),
        .cr0 = shadowed(VMCS_GUEST_CR0, VMCS_CR0_GUEST_HOST_MASK, VMCS_CR0_READ_SHADOW),
        .cr3 = pending(v, PV_GROUP_CONTROL, &s->cr3, VMCS_GUEST_CR3),
        .cr4 = shadowed(VMCS_GUEST_CR4, VMCS_CR4_GUEST_HOST_MASK, VMCS_CR4_READ_SHADOW),
        .efer = vmcs_read(VMCS_GUEST_IA32_EFER),
        .fs_base = vmcs_read(VMCS_GUEST_FS_BASE),
        .gs_base = vmcs_read(VMCS_GUEST_GS_BASE),
        .cs_access = (uint32_t)vmcs_read(VMCS_GUEST_CS_ACCESS_RIGHTS),
        .in_guest = in_guest(v),
    };
    memcpy(r.gpr, v->gprs, sizeof(r.gpr));
    r.gpr[PV_RSP] = pending(v, PV_GROUP_FLAGS, &s->rsp, VMCS_GUEST_RSP);
    for (uint32_t i = 0; i < sizeof(r.selector) / sizeof(r.selector[0]); i++) {
        r.selector[i] = (uint16_t)vmcs_read((enum vmcs_field)(VMCS_GUEST_ES_SELECTOR + 2 * i));
    }
    memcpy(call->data, &r, sizeof(r));
    return PV_OK;
}

static void run_read_registers(struct message *message)
{
    run_on(message, read_registers);
}

int64_t debug_read_registers(const struct debug_call *call)
{
    return ask(call, run_read_registers, sizeof(struct pv_guest_registers));
}

/// Entry needs bit 1 set, reserved bits clear, and VM as the mode has it (SDM Vol. 3C 27.3.1.4).
static uint64_t possible_flags(uint64_t wanted)
{
    const uint64_t free = 0x00254dd5 | RFLAGS_IF | RFLAGS_TF;
    return (vmcs_read(VMCS_GUEST_RFLAGS) & ~free) | (wanted & free);
}

static int64_t write_registers(struct vcpu *v, struct remote_call *call)
{
    struct pv_guest_registers r;
    memcpy(&r, call->data, sizeof(r));
    if (!v->owner->paused || !in_guest(v)) {
        return PV_ERR_STATE;
    }
    memcpy(v->gprs, r.gpr, sizeof(r.gpr));
    vmcs_write(VMCS_GUEST_RSP, r.gpr[PV_RSP]);
    vmcs_write(VMCS_GUEST_RIP, r.rip);
    vmcs_write(VMCS_GUEST_RFLAGS, possible_flags(r.rflags));
    return PV_OK;
}

static void run_write_registers(struct message *message)
{
    run_on(message, write_registers);
}

int64_t debug_write_registers(const struct debug_call *call)
{
    struct remote_call *remote = &agent_of(call->regs)->call;
    if (call->size < sizeof(struct pv_guest_registers)) {
        return PV_ERR_INVALID;
    }
    if (!user_read(remote->data, call->buffer, sizeof(struct pv_guest_registers))) {
        return PV_ERR_FAULT;
    }
    return ask(call, run_write_registers, 0);
}

/* ---- breakpoints and steps ---- */

int64_t debug_watch(const struct debug_call *call)
{
    struct personality *self = agent_of(call->regs)->personality;
    if (call->a1 >= personality_count) {
        return PV_ERR_NOT_FOUND;
    }
    struct personality *p = &personalities[call->a1];
    if (p == self) {
        return PV_ERR_DENIED;
    }
    lock_take(&p->lock);
    p->debugger = call->a2 ? self : NULL;
    lock_drop(&p->lock);
    return PV_OK;
}

static int64_t arm(struct vcpu *v, struct remote_call *call)
{
    (void)call;
    vcpu_debug_end_step(v);
    vcpu_debug_arm(v);
    return PV_OK;
}

static void run_arm(struct message *message)
{
    run_on(message, arm);
}

int64_t debug_arm(const struct debug_call *call)
{
    return ask(call, run_arm, 0);
}

static int64_t step(struct vcpu *v, struct remote_call *call)
{
    struct personality *p = v->owner;
    if (!v->armed || !p->paused) {
        return PV_ERR_STATE;
    }
    if (!(vmx_caps.primary >> 32 & PRIMARY_MONITOR_TRAP)) {
        return PV_ERR_UNSUPPORTED;
    }
    vcpu_debug_step(v, rip_of(v));
    personality_resume(p, call->arguments[0] ? v->agent : NULL);
    return PV_OK;
}

static void run_step(struct message *message)
{
    run_on(message, step);
}

int64_t debug_step(const struct debug_call *call)
{
    return ask(call, run_step, 0);
}

static int64_t pass(struct vcpu *v, struct remote_call *call)
{
    (void)call;
    return v->owner->paused && in_guest(v) && vcpu_debug_pass(v) ? PV_OK : PV_ERR_STATE;
}

static void run_pass(struct message *message)
{
    run_on(message, pass);
}

int64_t debug_pass(const struct debug_call *call)
{
    return ask(call, run_pass, 0);
}

int64_t debug_why_stopped(const struct debug_call *call)
{
    struct personality *p = debug_vcpu_personality(call->a1);
    if (!p) {
        return PV_ERR_NOT_FOUND;
    }
    lock_take(&p->lock);
    const struct vcpu *v = vcpu_find(p, (uint32_t)call->a1);
    int64_t why = v ? (int64_t)v->stop : PV_ERR_NOT_FOUND;
    lock_drop(&p->lock);
    return why;
}

/* ---- memory ---- */

/// Where a page of the guest is, as the multiplexer sees it. NULL: nowhere, or not in its personality's own memory. Under its lock.
static char *find_page(const struct personality *p, const struct vcpu *v, uint64_t gpa)
{
    const struct ept_pages pages = space_pages(v->owner);
    uint64_t entry, size;
    if (!ept_lookup(&v->space->ept, &pages, gpa, &entry, &size)) {
        return NULL;
    }
    uint64_t page = (ept_entry_address(entry) & ~(size - 1)) + (gpa & (size - 1) & ~(uint64_t)(PAGE_SIZE - 1));
    bool own = page >= p->memory && page - p->memory <= p->pool_size - PAGE_SIZE;
    return own ? phys_to_virt(page) : NULL;
}

static int64_t copy(const struct debug_call *call, bool write)
{
    struct personality *p = debug_vcpu_personality(call->a1);
    uint64_t offset = call->a2 % PAGE_SIZE;
    if (!p) {
        return PV_ERR_NOT_FOUND;
    }
    if (call->size > PAGE_SIZE - offset) {
        return PV_ERR_INVALID;
    }
    lock_take(&p->lock);
    const struct vcpu *v = vcpu_find(p, (uint32_t)call->a1);
    char *page = v ? find_page(p, v, call->a2) : NULL;
    bool copied = page && (write ? user_read(page + offset, call->buffer, call->size)
                                 : user_write(call->buffer, page + offset, call->size));
    lock_drop(&p->lock);
    return !page ? PV_ERR_NOT_FOUND : copied ? PV_OK : PV_ERR_FAULT;
}

int64_t debug_read_guest(const struct debug_call *call)
{
    return copy(call, false);
}

int64_t debug_write_guest(const struct debug_call *call)
{
    return copy(call, true);
}
