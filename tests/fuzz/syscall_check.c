// SPDX-License-Identifier: Apache-2.0
/// What must hold between any two steps: who owns which page, what tables and VMCSs say. Written from the design and
/// the SDM, with as little as possible of the multiplexer's own code.
#include <string.h>

#include "arch/x86/paging.h"
#include "arch/x86/registers.h"
#include "arch/x86/vmx/vmcs_setup.h"
#include "syscall.h"
#include "vmm/personality.h"
#include "vmm/space.h"

#define ADDRESS UINT64_C(0x000ffffffffff000)
enum { PRESENT = 1, LARGE = 1 << 7, WORDS = PAGE_SIZE / 8 };

/* ---- pages of the quota ---- */

static uint32_t owners[MACHINE_PAGES], round_number; ///< owners[page] == round_number: claimed in this round

struct claims {
    const struct personality *p;
    uint64_t pages;
};

static void claim(struct claims *c, uint64_t page, const char *what)
{
    const struct quota *q = &c->p->quota;
    MACHINE_CHECK(page % PAGE_SIZE == 0 && page >= q->base && page - q->base < q->next,
                  "%s of %s at 0x%lx: no page of its quota", what, c->p->config->name, page);
    uint32_t *owner = &owners[(page - MACHINE_RAM_BASE) / PAGE_SIZE];
    MACHINE_CHECK(*owner != round_number, "%s of %s at 0x%lx: the page is something else, too", what,
                  c->p->config->name, page);
    *owner = round_number;
    c->pages++;
}

static void claim_chain(struct claims *c, uint64_t page, const char *what)
{
    while (page) {
        claim(c, page, what);
        page = *(const uint64_t *)phys_to_virt(page);
    }
}

/* ---- page tables ---- */

static uint64_t mix(uint64_t hash, uint64_t value)
{
    return (hash ^ value) * UINT64_C(0x9e3779b97f4a7c15) ^ hash >> 29;
}

/// Ring 3's half of a personality's page tables. Returns a number that stands for what is mapped.
static uint64_t walk_user(struct claims *c, uint64_t table, unsigned shift, uint64_t address)
{
    const uint64_t *entries = phys_to_virt(table);
    const struct personality *p = c->p;
    uint64_t hash = 0;
    claim(c, table, "a page table");
    for (uint64_t i = 0; i < (shift == 39 ? 256 : 512); i++) {
        uint64_t entry = entries[i], size = UINT64_C(1) << shift;
        if (!(entry & PRESENT)) {
            continue;
        }
        if (shift > 12 && !(entry & LARGE)) {
            hash = mix(hash, walk_user(c, entry & ADDRESS, shift - 9, address + i * size));
            continue;
        }
        uint64_t physical = entry & ADDRESS;
        hash = mix(mix(hash, address + i * size), entry & ~UINT64_C(0x60)); // accessed and dirty
        MACHINE_CHECK(physical >= p->memory && physical - p->memory <= p->memory_size - size,
                      "%s has memory mapped that is not its own: 0x%lx", p->config->name, physical);
        MACHINE_CHECK(!(entry & PAGE_WRITE) || (entry & PAGE_NO_EXECUTE), "writable and executable: 0x%lx", physical);
    }
    return hash;
}

/* ---- spaces ---- */

static void on_table(void *context, uint64_t page)
{
    claim(context, page, "an EPT table");
}

static uint64_t check_space(struct claims *c, const struct space *s)
{
    const struct personality *p = c->p;
    uint64_t before = c->pages, hash = s->ept.root != 0;
    size_t count;
    const struct machine_leaf *leaves = machine_ept(s->ept.root, &count, on_table, c);
    MACHINE_CHECK(s->owner == p && c->pages - before == s->ept.tables, "a space with %lu tables says that it has %lu",
                  c->pages - before, s->ept.tables);
    for (size_t i = 0; i < count; i++) {
        uint64_t hpa = leaves[i].entry & ADDRESS, type = leaves[i].entry >> 3 & 7;
        MACHINE_CHECK(hpa >= p->memory && hpa - p->memory <= p->pool_size &&
                          leaves[i].size <= p->pool_size - (hpa - p->memory),
                      "a space of %s maps 0x%lx, which is not of its pool", p->config->name, hpa);
        MACHINE_CHECK(hpa % leaves[i].size == 0, "EPT misconfiguration: 0x%lx", leaves[i].entry);
        MACHINE_CHECK(type == 6 ? leaves[i].entry >> 6 & 1 : type != 2 && type != 3 && type != 7,
                      "EPT entry 0x%lx has a wrong memory type", leaves[i].entry);
        MACHINE_CHECK((leaves[i].entry & 3) != 2, "EPT misconfiguration: 0x%lx", leaves[i].entry);
        hash = mix(mix(hash, leaves[i].gpa), leaves[i].entry);
    }
    claim(c, s->page, "a space");
    claim_chain(c, s->change.job.garbage.first, "a withdrawn EPT table");
    return hash;
}

/* ---- VMCSs ---- */

/// Bits that a control field must have and must not have, whatever its personality wrote.
static const struct {
    enum vmcs_field field;
    uint64_t set, clear;
} forced[] = {
    {VMCS_PIN_CONTROLS, PIN_EXTERNAL_INTERRUPT | PIN_NMI | PIN_VIRTUAL_NMI | PIN_PREEMPTION_TIMER,
     PIN_POSTED_INTERRUPTS},
    {VMCS_PRIMARY_CONTROLS,
     PRIMARY_IO_BITMAPS | PRIMARY_MSR_BITMAPS | PRIMARY_SECONDARY | PRIMARY_MWAIT | PRIMARY_RDPMC, PRIMARY_TERTIARY},
    {VMCS_SECONDARY_CONTROLS, SECONDARY_EPT | SECONDARY_VPID | SECONDARY_WBINVD,
     SECONDARY_VM_FUNCTIONS | SECONDARY_VMCS_SHADOWING | SECONDARY_PML | SECONDARY_EPT_VIOLATION_VE | SECONDARY_PASID |
         SECONDARY_MODE_BASED_EXECUTE | SECONDARY_SUB_PAGE_WRITE | SECONDARY_PT_GUEST_PHYSICAL | SECONDARY_PCONFIG},
    {VMCS_EXIT_CONTROLS,
     EXIT_HOST_64 | EXIT_ACK_INTERRUPT | EXIT_SAVE_EFER | EXIT_LOAD_EFER | EXIT_SAVE_PAT | EXIT_LOAD_PAT |
         EXIT_SAVE_DEBUG,
     EXIT_LOAD_PERF_GLOBAL_CTRL | EXIT_LOAD_CET | EXIT_LOAD_PKRS | EXIT_SECONDARY},
    {VMCS_ENTRY_CONTROLS, ENTRY_LOAD_EFER | ENTRY_LOAD_PAT | ENTRY_LOAD_DEBUG,
     ENTRY_SMM | ENTRY_DEACTIVATE_DUAL_MONITOR | ENTRY_LOAD_PERF_GLOBAL_CTRL | ENTRY_LOAD_BNDCFGS |
         ENTRY_LOAD_RTIT_CTL | ENTRY_LOAD_CET | ENTRY_LOAD_PKRS | ENTRY_LOAD_FRED},
    {VMCS_EXCEPTION_BITMAP, 1u << VECTOR_DB | 1u << VECTOR_AC | 1u << VECTOR_MC, 0},
    {VMCS_CR0_GUEST_HOST_MASK, CR0_NE | CR0_NW | CR0_CD, 0},
    {VMCS_CR4_GUEST_HOST_MASK, CR4_VMXE, 0},
    {VMCS_GUEST_CR0, CR0_NE, 0},
    {VMCS_GUEST_CR4, CR4_VMXE, 0},
    {VMCS_GUEST_IA32_DEBUGCTL, 0, ~UINT64_C(3)},
    {VMCS_GUEST_ACTIVITY, 0, ~UINT64_C(1)},
    {VMCS_EXIT_MSR_STORE_COUNT, 0, UINT64_MAX},
    {VMCS_EXIT_MSR_LOAD_COUNT, 0, UINT64_MAX},
    {VMCS_ENTRY_MSR_LOAD_COUNT, 0, UINT64_MAX},
    {VMCS_LINK_POINTER, UINT64_MAX, 0},
};

static bool in_pool(const struct personality *p, uint64_t address)
{
    return address % PAGE_SIZE == 0 && address >= p->memory && address - p->memory < p->pool_size;
}

/// Without a TPR shadow CR8 is the core's. Rules of entry (SDM Vol. 3C 27.2.1.1); pages are the personality's.
static void check_apic(const struct vcpu *v)
{
    uint64_t primary = machine_vmcs_peek(v->vmcs, VMCS_PRIMARY_CONTROLS);
    uint64_t secondary = machine_vmcs_peek(v->vmcs, VMCS_SECONDARY_CONTROLS);
    bool shadow = primary & PRIMARY_TPR_SHADOW, accesses = secondary & SECONDARY_APIC_ACCESSES;
    uint64_t cr8 = PRIMARY_CR8_LOAD | PRIMARY_CR8_STORE;
    uint64_t need = SECONDARY_X2APIC | SECONDARY_APIC_REGISTERS | SECONDARY_VIRTUAL_INTERRUPTS;
    MACHINE_CHECK(shadow || ((primary & cr8) == cr8 && (secondary & need) == 0), "vcpu %u of %s: APIC without shadow",
                  v->id, v->owner->config->name);
    MACHINE_CHECK(!accesses || !(secondary & SECONDARY_X2APIC), "virtual APIC accesses and x2APIC mode");
    MACHINE_CHECK(!shadow || in_pool(v->owner, machine_vmcs_peek(v->vmcs, VMCS_VIRTUAL_APIC_ADDRESS)),
                  "a virtual-APIC page that is not %s's", v->owner->config->name);
    MACHINE_CHECK(!accesses || in_pool(v->owner, machine_vmcs_peek(v->vmcs, VMCS_APIC_ACCESS_ADDRESS)),
                  "an APIC-access page that is not %s's", v->owner->config->name);
}

static void check_controls(const struct vcpu *v)
{
    check_apic(v);
    for (size_t i = 0; i < sizeof(forced) / sizeof(forced[0]); i++) {
        uint64_t value = machine_vmcs_peek(v->vmcs, forced[i].field);
        MACHINE_CHECK((forced[i].set & ~value) == 0 && (value & forced[i].clear) == 0,
                      "vcpu %u of %s: field 0x%x is 0x%lx", v->id, v->owner->config->name, forced[i].field, value);
    }
    MACHINE_CHECK(machine_vmcs_peek(v->vmcs, VMCS_EPT_POINTER) == ((v->space->ept.root | 3 << 3 | 6) | 1 << 6),
                  "the EPT pointer of vcpu %u of %s is not of its space", v->id, v->owner->config->name);
    MACHINE_CHECK(machine_vmcs_peek(v->vmcs, VMCS_MSR_BITMAP) == v->msr_bitmap &&
                      machine_vmcs_peek(v->vmcs, VMCS_IO_BITMAP_A) == v->io_bitmaps[0] &&
                      machine_vmcs_peek(v->vmcs, VMCS_IO_BITMAP_B) == v->io_bitmaps[1],
                  "vcpu %u of %s has bitmaps that are not its own", v->id, v->owner->config->name);
}

/// What a personality's guests may be let to do themselves: bits that may be 0 in its bitmaps.
static struct allowed {
    bool made;
    uint8_t msr[PAGE_SIZE], io[2][PAGE_SIZE];
} allowed[MACHINE_PERSONALITIES];

static void clear_bit(uint8_t *bitmap, uint64_t bit)
{
    bitmap[bit / 8] &= (uint8_t)~(1u << bit % 8);
}

static void allow_msr(struct allowed *a, uint64_t msr, uint32_t how)
{
    uint64_t half = msr >= 0xc0000000 ? 1024 : 0; // SDM Vol. 3C 25.6.9
    if (how & PV_GRANT_READ) {
        clear_bit(a->msr + half, msr & 0x1fff);
    }
    if (how & PV_GRANT_WRITE) {
        clear_bit(a->msr + half + 2048, msr & 0x1fff);
    }
}

static const struct allowed *allowed_of(const struct personality *p)
{
    /// What is switched with each guest.
    static const uint32_t own[] = {MSR_SYSENTER_CS, MSR_SYSENTER_ESP, MSR_SYSENTER_EIP, MSR_PAT,
                                   MSR_EFER,        MSR_FS_BASE,      MSR_GS_BASE,      MSR_KERNEL_GS_BASE};
    static const uint32_t own_read[] = {MSR_STAR, MSR_LSTAR, MSR_SFMASK, MSR_TSC_AUX};
    struct allowed *a = &allowed[p->id];
    const struct config_personality *config = p->config;
    if (a->made) {
        return a;
    }
    a->made = true;
    memset(a->msr, 0xff, sizeof(a->msr));
    memset(a->io, 0xff, sizeof(a->io));
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
        allow_msr(a, own[i], PV_GRANT_READ | PV_GRANT_WRITE);
    }
    for (size_t i = 0; i < sizeof(own_read) / sizeof(own_read[0]); i++) {
        allow_msr(a, own_read[i], PV_GRANT_READ);
    }
    for (uint32_t i = 0; i < config->msr_grant_count; i++) {
        for (uint64_t msr = config->msr_grants[i].first; msr <= config->msr_grants[i].last; msr++) {
            allow_msr(a, msr, config->msr_grants[i].how);
        }
    }
    for (uint32_t i = 0; i < config->io_grant_count; i++) {
        for (uint64_t port = config->io_grants[i].first; port <= config->io_grants[i].last; port++) {
            clear_bit(a->io[port >> 15], port & 0x7fff);
        }
    }
    return a;
}

/// Besides, MSRs that the processor takes to the virtual-APIC page, with the controls that the VMCS has (SDM Vol. 3C 30.5).
static void allow_apic(struct allowed *a, const struct vcpu *v)
{
    uint64_t secondary = machine_vmcs_peek(v->vmcs, VMCS_SECONDARY_CONTROLS);
    if (!(secondary & SECONDARY_X2APIC)) {
        return;
    }
    allow_msr(a, 0x808, PV_GRANT_READ | PV_GRANT_WRITE);
    for (uint64_t msr = 0x800; msr <= 0x8ff && secondary & SECONDARY_APIC_REGISTERS; msr++) {
        allow_msr(a, msr, PV_GRANT_READ);
    }
    if (secondary & SECONDARY_VIRTUAL_INTERRUPTS) {
        allow_msr(a, 0x80b, PV_GRANT_WRITE);
        allow_msr(a, 0x83f, PV_GRANT_WRITE);
    }
}

static uint64_t check_bitmap(const struct vcpu *v, uint64_t page, const uint8_t *may)
{
    const uint64_t *has = phys_to_virt(page);
    uint64_t hash = 0;
    for (size_t i = 0; i < WORDS; i++) {
        uint64_t word;
        memcpy(&word, may + 8 * i, sizeof(word));
        MACHINE_CHECK((word & ~has[i]) == 0, "vcpu %u of %s may use what nobody granted: word %zu is 0x%lx", v->id,
                      v->owner->config->name, i, has[i]);
        hash = mix(hash, has[i]);
    }
    return hash;
}

static uint64_t check_bitmaps(struct claims *c, const struct vcpu *v)
{
    const struct allowed *may = allowed_of(c->p);
    uint64_t hash = 0;
    if (v->has_msr_bitmap) {
        claim(c, v->msr_bitmap, "an MSR bitmap");
    } else {
        MACHINE_CHECK(v->msr_bitmap == vmcs_default_msr_bitmap, "a strange MSR bitmap");
    }
    struct allowed with_apic = *may;
    allow_apic(&with_apic, v);
    hash = mix(hash, check_bitmap(v, v->msr_bitmap, with_apic.msr));
    for (int i = 0; i < 2; i++) {
        if (v->has_io_bitmaps) {
            claim(c, v->io_bitmaps[i], "an I/O bitmap");
        } else {
            MACHINE_CHECK(v->io_bitmaps[i] == vmcs_default_io_bitmap, "a strange I/O bitmap");
        }
        hash = mix(hash, check_bitmap(v, v->io_bitmaps[i], may->io[i]));
    }
    return hash;
}

/* ---- vcpus ---- */

static uint64_t hash_page(struct claims *c, uint64_t page, const char *what)
{
    uint64_t hash = 0;
    if (page) {
        const uint64_t *words = phys_to_virt(page);
        claim(c, page, what);
        for (size_t i = 0; i < WORDS; i++) {
            hash = mix(hash, words[i]);
        }
    }
    return hash;
}

/// All fields but the host's, which change with the core, and the timer, which is armed when somebody else's call ends.
static uint64_t hash_vmcs(uint64_t vmcs)
{
    size_t count;
    const struct vmcs_field_info *fields = vmcs_fields(&count);
    uint64_t hash = 0;
    for (size_t i = 0; i < count; i++) {
        if (vmcs_field_kind(fields[i].encoding) != VMCS_KIND_HOST &&
            fields[i].encoding != VMCS_GUEST_PREEMPTION_TIMER) {
            hash = mix(hash, machine_vmcs_peek(vmcs, fields[i].encoding));
        }
    }
    return hash;
}

static uint64_t check_vcpu(struct claims *c, const struct vcpu *v, uint32_t number)
{
    const struct personality *p = c->p;
    const char *name = p->config->name;
    int active = machine_vmcs_active(v->vmcs);
    uint64_t state = (uint64_t)v->state - (uint64_t)phys_to_virt(p->memory);
    claim(c, v->page, "a vcpu");
    claim(c, v->vmcs, "a VMCS");
    MACHINE_CHECK(v->id == number && v->owner == p && v->root == p->root, "vcpu %u of %s says that it is another",
                  number, name);
    MACHINE_CHECK(state % PAGE_SIZE == 0 && state < p->pool_size,
                  "vcpu %u of %s: its state page is no page of the pool", number, name);
    bool ends = p->state == PV_STATE_STOPPING; // then agents forget theirs one by one
    MACHINE_CHECK(ends || !v->agent ||
                      (v->agent->personality == p && v->agent->vcpus[number] == v && v->core == v->agent->core),
                  "vcpu %u of %s is not its agent's", number, name);
    MACHINE_CHECK(v->agent || active < 0, "vcpu %u of %s is nobody's and active", number, name);
    MACHINE_CHECK(active < 0 || v->core == &cores[active], "vcpu %u of %s is active on core %d, not its own", number,
                  name, active);
    MACHINE_CHECK(machine_vmcs_peek(v->vmcs, VMCS_VPID) == v->vpid && v->vpid == 1 + p->id * PV_MAX_VCPUS + number,
                  "vcpu %u of %s has VPID %u", number, name, v->vpid);
    check_controls(v);
    uint64_t hash = hash_vmcs(v->vmcs);
    if (v->own_registers.fpu_page) {
        claim(c, v->own_registers.fpu_page, "FPU state");
    }
    hash = mix(hash, check_bitmaps(c, v));
    hash = mix(hash, hash_page(c, v->cpuid_page, "a CPUID table"));
    hash = mix(hash, hash_page(c, v->msr_page, "an MSR table"));
    bool runs = v->agent && v->agent->regs.guest == v;
    hash = mix(hash, (uint64_t)(runs | v->kicked << 1 | v->registers->uses_debug << 2));
    hash = mix(hash, (v->agent ? v->agent->index + 1 : 0) | (uint64_t)v->wanted_windows << 8 |
                         (uint64_t)v->wanted_exceptions << 32);
    return mix(hash, v->wants_mov_dr | v->space->page << 8);
}

/// How many vcpus use a space, and a register file.
static void check_users(const struct personality *p)
{
    for (uint32_t s = 0; s < PV_MAX_SPACES; s++) {
        uint32_t users = 0;
        for (uint32_t i = 0; p->spaces[s] && i < PV_MAX_VCPUS; i++) {
            users += p->vcpus[i] && p->vcpus[i]->space == p->spaces[s];
        }
        MACHINE_CHECK(!p->spaces[s] || p->spaces[s]->vcpus == users, "space %u of %s has %u vcpus", s, p->config->name,
                      users);
    }
    for (uint32_t v = 0; v < PV_MAX_VCPUS; v++) {
        const struct register_file *r = p->vcpus[v] ? p->vcpus[v]->registers : NULL;
        uint32_t users = 0;
        bool owned = false;
        for (uint32_t i = 0; r && i < PV_MAX_VCPUS; i++) {
            const struct vcpu *other = p->vcpus[i];
            users += other && other->registers == r;
            owned = owned || (other && &other->own_registers == r);
            MACHINE_CHECK(!other || other->registers != r || other->core == p->vcpus[v]->core,
                          "a register file of %s is on two cores", p->config->name);
        }
        MACHINE_CHECK(!r || (owned && r->users == users), "a register file of %s has %u users", p->config->name, users);
    }
}

static uint64_t walk(const struct personality *p)
{
    struct claims c = {.p = p};
    uint64_t hash = p->quota.used;
    round_number++;
    if (p->state != PV_STATE_RUNNING && p->state != PV_STATE_STOPPING) {
        MACHINE_CHECK(p->quota.used == 0, "%s has ended and uses %lu bytes of its quota", p->config->name,
                      p->quota.used);
        return p->state;
    }
    hash = mix(hash, walk_user(&c, p->root, 39, 0));
    uint64_t reserved = 0;
    for (uint32_t i = 0; i < PV_MAX_SPACES; i++) {
        hash = mix(hash, p->spaces[i] ? check_space(&c, p->spaces[i]) : 0);
        reserved += p->spaces[i] ? p->spaces[i]->change.job.reserved * PAGE_SIZE : 0;
    }
    for (uint32_t i = 0; i < PV_MAX_VCPUS; i++) {
        hash = p->vcpus[i] ? mix(hash, check_vcpu(&c, p->vcpus[i], i)) : hash + i;
    }
    MACHINE_CHECK(reserved == p->quota.reserved, "%s has %lu bytes of its quota set aside, needs %lu", p->config->name,
                  p->quota.reserved, reserved);
    MACHINE_CHECK(c.pages * PAGE_SIZE == p->quota.used, "%s uses %lu pages of its quota and is charged for %lu",
                  p->config->name, c.pages, p->quota.used / PAGE_SIZE);
    claim_chain(&c, p->quota.free_list, "a free page");
    MACHINE_CHECK(c.pages * PAGE_SIZE == p->quota.next, "%s has lost pages of its quota", p->config->name);
    return hash;
}

uint64_t state_of(const struct personality *p)
{
    return walk(p);
}

void check_personality(const struct personality *p)
{
    walk(p);
    if (p->state == PV_STATE_RUNNING) {
        check_users(p);
    }
}

/// Every active VMCS is a living vcpu's (whose own check says that it is on the right core).
static void check_active(void)
{
    for (uint64_t vmcs = 0; (vmcs = machine_vmcs_any_active(vmcs)) != 0;) {
        bool found = false;
        for (uint32_t p = 0; p < personality_count; p++) {
            for (uint32_t i = 0; i < PV_MAX_VCPUS; i++) {
                found = found || (personalities[p].vcpus[i] && personalities[p].vcpus[i]->vmcs == vmcs);
            }
        }
        MACHINE_CHECK(found, "the VMCS at 0x%lx is active and nobody's", vmcs);
    }
}

void check_all(void)
{
    for (uint32_t i = 0; i < personality_count; i++) {
        check_personality(&personalities[i]);
    }
    check_active();
}

void check_cores(void)
{
    for (uint32_t i = 0; i < MACHINE_CORES; i++) {
        if (machine_place(i) == MACHINE_GUEST) {
            machine_check_translations(i);
        }
    }
}
