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
#include "vmm/vcpu_table.h"

enum { XCR0_AFTER_INIT = 1, DR6_AFTER_INIT = 0xffff0ff0 };

struct vcpu *vcpu_find(const struct personality *p, uint64_t number)
{
    return number < PV_MAX_VCPUS ? __atomic_load_n(&p->vcpus[number], __ATOMIC_ACQUIRE) : NULL;
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
    vcpu_make_current(core, vcpu);
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
    vcpu->core = agent->core;
    vcpu->space = space;
    vcpu->page = page;
    vcpu->vpid = vpid_of(p, number);
    vcpu->cpuid_table = vcpu_table_empty;
    vcpu->flush_vpid = true;
    vcpu->budget_end = UINT64_MAX;
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
    vcpu->uses_debug = vcpu->registers->uses_debug;
    vcpu->registers->users++;
    space->vcpus++;
    fill_vmcs(vcpu, agent->core);
    __atomic_store_n(&p->vcpus[number], vcpu, __ATOMIC_RELEASE);
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
    struct vcpu *owner = registers == PV_OWN_REGISTERS ? NULL : vcpu_find(p, registers);
    uint64_t number = 0;
    while (number < PV_MAX_VCPUS && p->vcpus[number]) {
        number++;
    }
    int64_t result;
    if (!space || (registers != PV_OWN_REGISTERS && !owner)) {
        result = PV_ERR_NOT_FOUND;
    } else if (owner && (owner->core != agent->core || owner->running)) {
        result = PV_ERR_STATE; // a register file is loaded on one core at most
    } else {
        result = number < PV_MAX_VCPUS ? create(agent, number, space, state_page, owner) : PV_ERR_QUOTA;
    }
    lock_drop(&p->lock);
    return result;
}

/* ---- leaving a core ---- */

/// On the vcpu's core: no processor state of it is left there. With the VMCS cleared and the register file saved it
/// can go anywhere.
static void detach(struct core *core, struct vcpu *vcpu)
{
    vcpu_clear_vmcs(core, vcpu);
    if (core->loaded_registers == vcpu->registers) {
        vcpu_unload_registers(core);
    }
}

void vcpu_release_core(struct personality *p)
{
    struct core *core = core_self();
    for (uint32_t i = 0; i < PV_MAX_VCPUS; i++) {
        struct vcpu *vcpu = p->vcpus[i];
        if (vcpu && vcpu->core == core) {
            if (core->loaded_registers == vcpu->registers) {
                core->loaded_registers = NULL; // nobody wants to see them again
            }
            vcpu_clear_vmcs(core, vcpu);
        }
    }
}

static bool another_stays(const struct agent *leaving)
{
    const struct personality *p = leaving->personality;
    for (uint32_t i = 0; i < p->agent_count; i++) {
        if (&p->agents[i] != leaving && p->agents[i].core == leaving->core) {
            return true;
        }
    }
    return false;
}

void vcpu_follow(struct agent *agent, struct core *target)
{
    struct core *core = core_self();
    struct personality *p = agent->personality;
    bool all = !another_stays(agent);
    lock_take(&p->lock);
    for (uint32_t i = 0; i < PV_MAX_VCPUS; i++) {
        struct vcpu *vcpu = p->vcpus[i];
        if (vcpu && vcpu->core == core && (all || vcpu == agent->regs.guest)) {
            detach(core, vcpu);
            vcpu->core = target;
            vcpu->moves++;
            vcpu->flush_vpid = true;
        }
    }
    lock_drop(&p->lock);
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

/// Another core's part of moving or destroying: the vcpu is not running (checked under the lock, and marked).
static void run_detach(struct message *message)
{
    struct remote_call *call = (struct remote_call *)message;
    detach(core_self(), (struct vcpu *)call->arguments[0]);
    call->result = PV_OK;
    sched_unblock(call->agent);
}

/// Detaches a vcpu where it is, then finishes here. The caller has marked it as running, so that nobody else takes it.
static int64_t detach_then(struct agent *agent, struct vcpu *vcpu, int64_t (*finish)(struct remote_call *))
{
    struct remote_call *call = &agent->call;
    call->arguments[0] = (uint64_t)vcpu;
    call->finish = finish;
    call->message.run = run_detach;
    sched_block(agent);
    message_send(vcpu->core, &call->message);
    sched_settle();
    return (int64_t)agent->regs.rax;
}

/// Takes a vcpu that does not run, as if it ran. PV_OK, or why not.
static int64_t claim(struct personality *p, uint64_t number, bool sharing_allowed, struct vcpu **vcpu)
{
    lock_take(&p->lock);
    struct vcpu *v = vcpu_find(p, number);
    int64_t result = PV_OK;
    if (!v) {
        result = PV_ERR_NOT_FOUND;
    } else if (__atomic_load_n(&v->running, __ATOMIC_ACQUIRE) || (!sharing_allowed && v->registers->users > 1)) {
        result = PV_ERR_STATE;
    } else {
        v->running = true;
    }
    *vcpu = v;
    lock_drop(&p->lock);
    return result;
}

static int64_t finish_move(struct remote_call *call)
{
    struct vcpu *vcpu = (struct vcpu *)call->arguments[0];
    vcpu->core = call->agent->core;
    vcpu->moves++;
    vcpu->flush_vpid = true; // this core may remember the VPID from an earlier stay
    __atomic_store_n(&vcpu->running, false, __ATOMIC_RELEASE);
    return PV_OK;
}

int64_t vcpu_move(struct regs *regs, uint64_t number, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4)
{
    (void)a1, (void)a2, (void)a3, (void)a4;
    struct agent *agent = agent_of(regs);
    struct vcpu *vcpu;
    if (agent->core->state != PV_CORE_VMX) {
        return PV_ERR_UNSUPPORTED;
    }
    int64_t result = claim(agent->personality, number, false, &vcpu);
    if (result != PV_OK) {
        return result;
    }
    if (vcpu->core == agent->core) {
        vcpu->running = false;
        return PV_OK;
    }
    return detach_then(agent, vcpu, finish_move);
}

static int64_t finish_destroy(struct remote_call *call)
{
    struct vcpu *vcpu = (struct vcpu *)call->arguments[0];
    struct personality *p = vcpu->owner;
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
    struct vcpu *vcpu = vcpu_find(agent->personality, number);
    // One that borrows its registers may go while others use them; their owner may not.
    bool borrower = vcpu && vcpu->registers != &vcpu->own_registers;
    int64_t result = claim(agent->personality, number, borrower, &vcpu);
    return result == PV_OK ? detach_then(agent, vcpu, finish_destroy) : result;
}
