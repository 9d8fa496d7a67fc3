// SPDX-License-Identifier: Apache-2.0
/// Making, moving and destroying vcpus.
#include <polyvisor/string.h>

#include "arch/x86/core.h"
#include "arch/x86/fpu.h"
#include "arch/x86/layout.h"
#include "arch/x86/paging.h"
#include "arch/x86/registers.h"
#include "arch/x86/vmx/vmcs.h"
#include "arch/x86/vmx/vmcs_setup.h"
#include "arch/x86/vmx/vmx.h"
#include "vmm/panic.h"
#include "vmm/personality.h"
#include "vmm/space.h"
#include "vmm/vcpu.h"
#include "vmm/vcpu_debug.h"
#include "vmm/vcpu_table.h"

enum { XCR0_AFTER_INIT = 1, DR6_AFTER_INIT = 0xffff0ff0 };

struct vcpu *vcpu_find(const struct personality *p, uint64_t number)
{
    return number < PV_MAX_VCPUS ? p->vcpus[number] : NULL;
}

int64_t vcpu_why_not(const struct agent *agent, uint64_t number)
{
    bool there = number < PV_MAX_VCPUS && __atomic_load_n(&agent->personality->vcpus[number], __ATOMIC_RELAXED);
    return there ? PV_ERR_STATE : PV_ERR_NOT_FOUND;
}

/* ---- creation ---- */

/// Gives back whatever pages a vcpu has.
static void free_pages(struct personality *p, struct vcpu *vcpu, uint64_t own_page)
{
    uint64_t pages[] = {vcpu->vmcs,
                        vcpu->own_registers.fpu_page,
                        vcpu->cpuid_page,
                        vcpu->msr_page,
                        vcpu->has_msr_bitmap ? vcpu->msr_bitmap : 0,
                        vcpu->has_io_bitmaps ? vcpu->io_bitmaps[0] : 0,
                        vcpu->has_io_bitmaps ? vcpu->io_bitmaps[1] : 0,
                        own_page};
    for (uint32_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
        if (pages[i]) {
            ASSERT(quota_free(&p->quota, pages[i]));
        }
    }
}

static void init_registers(struct vcpu *vcpu)
{
    struct register_file *r = &vcpu->own_registers;
    r->gprs = vcpu->state->gpr;
    r->fpu = phys_to_virt(r->fpu_page);
    fpu_init_area(r->fpu);
    r->xcr0 = XCR0_AFTER_INIT;
    r->dr6 = DR6_AFTER_INIT;
}

/// VPIDs of all vcpus of all personalities differ; 0 is the host's.
static uint16_t vpid_of(const struct personality *p, uint64_t number)
{
    _Static_assert(CONFIG_MAX_PERSONALITIES * PV_MAX_VCPUS < UINT16_MAX, "VPIDs have 16 bits");
    return (uint16_t)(1 + p->id * PV_MAX_VCPUS + number);
}

/// The new VMCS becomes current on this core and is filled.
static void fill_vmcs(struct vcpu *vcpu, struct core *core)
{
    struct vmcs_parts parts = {
        .eptp = ept_pointer(&vcpu->space->ept),
        .msr_bitmap = vcpu->msr_bitmap,
        .io_bitmap_a = vcpu->io_bitmaps[0],
        .io_bitmap_b = vcpu->io_bitmaps[1],
        .vpid = vcpu->vpid,
    };
    struct vmcs_controls controls;
    vmcs_format(phys_to_virt(vcpu->vmcs));
    vcpu_clear_vmcs(core, vcpu);
    vcpu_open_vmcs(core, vcpu);
    vmcs_setup_guest(&parts, &controls);
    vcpu->primary = controls.primary;
    vcpu->secondary = controls.secondary;
}

/// Under the owner's lock.
static int64_t create(struct agent *agent, uint64_t number, struct space *space, uint64_t state_page,
                      struct vcpu *register_owner)
{
    struct personality *p = agent->personality;
    uint64_t page = quota_alloc(&p->quota);
    if (!page) {
        return PV_ERR_QUOTA;
    }
    struct vcpu *vcpu = phys_to_virt(page);
    vcpu->id = (uint32_t)number;
    vcpu->owner = p;
    vcpu->root = p->root;
    vcpu->agent = agent;
    vcpu->core = agent->core;
    vcpu->space = space;
    vcpu->page = page;
    vcpu->vpid = vpid_of(p, number);
    vcpu->cpuid_table = vcpu_table_empty;
    vcpu->flush_vpid = vcpu->cleared = true;
    vcpu->budget_end = vcpu->run_until = UINT64_MAX;
    vcpu->state = phys_to_virt(p->memory + state_page);
    vcpu->msr_bitmap = vmcs_default_msr_bitmap;
    vcpu->io_bitmaps[0] = vcpu->io_bitmaps[1] = vmcs_default_io_bitmap;
    vcpu->vmcs = quota_alloc(&p->quota);
    vcpu->own_registers.fpu_page = register_owner ? 0 : quota_alloc(&p->quota);
    if (!vcpu->vmcs || (!register_owner && !vcpu->own_registers.fpu_page)) {
        free_pages(p, vcpu, page);
        return PV_ERR_QUOTA;
    }
    if (!register_owner) {
        init_registers(vcpu);
    }
    vcpu->registers = register_owner ? register_owner->registers : &vcpu->own_registers;
    vcpu->gprs = vcpu->registers->gprs;
    vcpu->long_way = vcpu->registers->uses_debug || !vmx_guest_timer;
    vcpu->registers->users++;
    space->vcpus++;
    fill_vmcs(vcpu, agent->core);
    if (p->debugger) {
        vcpu_debug_arm(vcpu);
    }
    __atomic_store_n(&p->vcpus[number], vcpu, __ATOMIC_RELEASE);
    agent->vcpus[number] = vcpu;
    return (int64_t)number;
}

int64_t vcpu_create(struct regs *regs, uint64_t space_number, uint64_t state_page, uint64_t registers, uint64_t a3,
                    uint64_t a4)
{
    (void)a3, (void)a4;
    struct agent *agent = agent_of(regs);
    struct personality *p = agent->personality;
    if (state_page % PAGE_SIZE || state_page >= p->pool_size || p->pool_size - state_page < PAGE_SIZE) {
        return PV_ERR_INVALID;
    }
    if (agent->core->state != PV_CORE_VMX) {
        return PV_ERR_UNSUPPORTED;
    }
    lock_take(&p->lock);
    struct space *space = space_find(p, space_number);
    struct vcpu *owner = registers == PV_OWN_REGISTERS ? NULL : vcpu_of(agent, registers);
    uint64_t number = 0;
    while (number < PV_MAX_VCPUS && p->vcpus[number]) {
        number++;
    }
    int64_t result;
    if (!space) {
        result = PV_ERR_NOT_FOUND;
    } else if (registers != PV_OWN_REGISTERS && !owner) {
        result = vcpu_why_not(agent, registers); // a register file is loaded on one core at most
    } else {
        result = number < PV_MAX_VCPUS ? create(agent, number, space, state_page, owner) : PV_ERR_QUOTA;
    }
    lock_drop(&p->lock);
    return result;
}

/* ---- leaving a core ---- */

/// On the vcpu's core, when it does not run: no processor state of it is left there. With the VMCS cleared and the register file
/// saved it can go anywhere.
static void detach(struct core *core, struct vcpu *vcpu)
{
    vcpu_clear_vmcs(core, vcpu);
    if (core->loaded_registers == vcpu->registers) {
        vcpu_unload_registers(core);
    }
}

/// The time that its guest has run stays the agent's.
static void take_from(struct agent *agent, const struct vcpu *vcpu)
{
    agent->vcpus[vcpu->id] = NULL;
    agent->guest_before += vcpu->run_time;
}

void vcpu_release(struct agent *agent)
{
    struct core *core = core_self();
    for (uint32_t i = 0; i < PV_MAX_VCPUS; i++) {
        struct vcpu *vcpu = agent->vcpus[i];
        if (vcpu) {
            if (core->loaded_registers == vcpu->registers) {
                core->loaded_registers = NULL; // nobody wants to see them again
            }
            vcpu_clear_vmcs(core, vcpu);
            take_from(agent, vcpu);
        }
    }
}

/// A core that remembers the vcpu's VPID from an earlier stay must forget it.
static void arrive(struct vcpu *vcpu, struct agent *agent, struct core *core)
{
    vcpu->agent = agent;
    vcpu->core = core;
    vcpu->moves++;
    vcpu->flush_vpid = true;
}

void vcpu_follow(struct agent *agent, struct core *target)
{
    lock_take(&agent->personality->lock);
    for (uint32_t i = 0; i < PV_MAX_VCPUS; i++) {
        if (agent->vcpus[i]) {
            detach(core_self(), agent->vcpus[i]);
            arrive(agent->vcpus[i], agent, target);
        }
    }
    lock_drop(&agent->personality->lock);
}

void vcpu_forget_all(struct personality *p)
{
    for (uint32_t i = 0; i < PV_MAX_VCPUS; i++) {
        if (p->vcpus[i]) {
            personality_keep_counts(p, p->vcpus[i]);
        }
    }
    memset(p->vcpus, 0, sizeof(p->vcpus));
    memset(p->spaces, 0, sizeof(p->spaces));
}

/* ---- what another agent has ---- */

/// Does something to a vcpu of an agent, on its core. The vcpu does not run. An enum pv_error.
typedef int64_t vcpu_action(struct agent *owner, struct vcpu *vcpu);

struct request {
    struct agent *owner; ///< whose the vcpu was when the caller looked
    uint64_t number;
    vcpu_action *action;
    struct vcpu *vcpu; ///< the answer
};
_Static_assert(sizeof(struct request) <= sizeof(((struct remote_call *)0)->arguments), "arguments of a remote call");

static struct request *request_of(struct remote_call *call)
{
    return (struct request *)call->arguments;
}

static void run_request(struct message *message)
{
    struct remote_call *call = (struct remote_call *)message;
    struct request *request = request_of(call);
    struct agent *owner = request->owner;
    if (sched_forward(owner, message)) {
        return;
    }
    request->vcpu = vcpu_of(owner, request->number);
    call->result = PV_ERR_STATE; // gone since, or runs
    if (request->vcpu && owner->regs.guest != request->vcpu) {
        call->result = request->action(owner, request->vcpu);
    }
    sched_unblock(call->agent);
}

/// Whose a vcpu is, from any core. NULL, and *error: nobody's, or it runs. To be seen before its core is disturbed: no agent can make
/// another one's core work again and again for nothing.
static struct agent *find_owner(struct personality *p, uint64_t number, int64_t *error)
{
    lock_take(&p->lock);
    const struct vcpu *vcpu = vcpu_find(p, number);
    struct agent *owner = vcpu ? vcpu->agent : NULL;
    bool runs = owner && owner->regs.guest == vcpu;
    lock_drop(&p->lock);
    *error = vcpu ? PV_ERR_STATE : PV_ERR_NOT_FOUND;
    return runs ? NULL : owner;
}

/// Has an action done where the vcpu is; the call then ends with `finish`.
static int64_t ask_owner(struct agent *agent, uint64_t number, vcpu_action *action,
                         int64_t (*finish)(struct remote_call *))
{
    int64_t error;
    struct agent *owner = find_owner(agent->personality, number, &error);
    if (!owner) {
        return error;
    }
    *request_of(&agent->call) = (struct request){.owner = owner, .number = number, .action = action};
    agent->call.finish = finish;
    agent->call.message.run = run_request;
    sched_block(agent);
    message_send(owner->core, &agent->call.message);
    sched_settle();
    return (int64_t)agent->regs.rax;
}

/// The vcpu is nobody's then.
static int64_t give_away(struct agent *owner, struct vcpu *vcpu)
{
    if (vcpu->registers->users > 1) {
        return PV_ERR_STATE;
    }
    detach(owner->core, vcpu);
    take_from(owner, vcpu);
    lock_take(&owner->personality->lock);
    vcpu->agent = NULL;
    lock_drop(&owner->personality->lock);
    return PV_OK;
}

static int64_t finish_move(struct remote_call *call)
{
    struct agent *agent = call->agent;
    struct vcpu *vcpu = request_of(call)->vcpu;
    if (call->result == PV_OK) {
        lock_take(&agent->personality->lock);
        arrive(vcpu, agent, agent->core);
        lock_drop(&agent->personality->lock);
        agent->vcpus[vcpu->id] = vcpu;
        agent->guest_before -= vcpu->run_time; // another agent's
    }
    return call->result;
}

int64_t vcpu_move(struct regs *regs, uint64_t number, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4)
{
    (void)a1, (void)a2, (void)a3, (void)a4;
    struct agent *agent = agent_of(regs);
    if (agent->core->state != PV_CORE_VMX) {
        return PV_ERR_UNSUPPORTED;
    }
    return vcpu_of(agent, number) ? PV_OK : ask_owner(agent, number, give_away, finish_move);
}

static int64_t destroy(struct agent *owner, struct vcpu *vcpu)
{
    struct personality *p = owner->personality;
    // One that borrows its registers may go while others use them; their owner may not.
    if (vcpu->registers == &vcpu->own_registers && vcpu->registers->users > 1) {
        return PV_ERR_STATE;
    }
    detach(owner->core, vcpu);
    take_from(owner, vcpu);
    lock_take(&p->lock);
    personality_keep_counts(p, vcpu);
    p->vcpus[vcpu->id] = NULL;
    vcpu->space->vcpus--;
    vcpu->registers->users--;
    free_pages(p, vcpu, vcpu->page);
    lock_drop(&p->lock);
    return PV_OK;
}

int64_t vcpu_destroy(struct regs *regs, uint64_t number, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4)
{
    (void)a1, (void)a2, (void)a3, (void)a4;
    struct agent *agent = agent_of(regs);
    struct vcpu *vcpu = vcpu_of(agent, number);
    return vcpu ? destroy(agent, vcpu) : ask_owner(agent, number, destroy, NULL);
}
