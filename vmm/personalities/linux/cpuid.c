// SPDX-License-Identifier: Apache-2.0
// Source: Intel SDM Vol. 2A, CPUID.
#include "cpuid.h"

#include <polyvisor/string.h>

#define BIT(n) (UINT32_C(1) << (n))

enum {
    MAX_BASIC = 0x16,
    HYPERVISOR = 0x40000000,
    HYPERVISOR_TIMING = 0x40000010, ///< eax: kHz of the TSC, ebx: of the local APIC's timer; a convention of VMware's
    CACHE_SUBLEAVES = 8,
};
static const uint32_t extended = 0x80000000, max_extended = 0x80000008;

/// Leaf 1: SSE3, PCLMULQDQ, SSSE3, FMA, CX16, PCID, SSE4.1, SSE4.2, MOVBE, POPCNT, AES, XSAVE, AVX, F16C, RDRAND.
static const uint32_t features_ecx = BIT(0) | BIT(1) | BIT(9) | BIT(12) | BIT(13) | BIT(17) | BIT(19) | BIT(20) |
                                     BIT(22) | BIT(23) | BIT(25) | BIT(26) | BIT(28) | BIT(29) | BIT(30);
/// Emulated, whatever the processor has: TSC deadline, x2APIC unless it shall not be there; and the bit that says that this is a guest.
static const uint32_t features_ecx_own = BIT(24) | BIT(31);
enum { FEATURES_X2APIC = 21 };
/// FPU, VME, DE, PSE, TSC, MSR, PAE, MCE, CX8, APIC, SEP, MTRR, PGE, MCA, CMOV, PAT, PSE36, CLFSH, MMX, FXSR, SSE,
/// SSE2, SS. (Machine checks: there are no banks. MTRR, PAT, APIC: emulated.)
static const uint32_t features_edx = 0x3ffu | BIT(11) | BIT(12) | BIT(13) | BIT(14) | BIT(15) | BIT(16) | BIT(17) |
                                     BIT(19) | BIT(23) | BIT(24) | BIT(25) | BIT(26) | BIT(27);
enum { FEATURES_HTT = 28, FEATURES_OSXSAVE = 27 };

/// Leaf 7: FSGSBASE, BMI1, AVX2, SMEP, BMI2, ERMS, INVPCID, AVX512F, DQ, RDSEED, ADX, SMAP, IFMA, CLFLUSHOPT, CLWB, CD,
/// SHA, BW, VL. Not the TSX pair, SGX, PQM, Intel PT: they have MSRs of their own.
static const uint32_t structured_ebx = BIT(0) | BIT(3) | BIT(5) | BIT(7) | BIT(8) | BIT(9) | BIT(10) | BIT(16) |
                                       BIT(17) | BIT(18) | BIT(19) | BIT(20) | BIT(21) | BIT(23) | BIT(24) | BIT(28) |
                                       BIT(29) | BIT(30) | BIT(31);
/// Emulated. Linux believes that a TSC is good when this is there, and not when a busy neighbour delays its timers.
enum { TSC_ADJUST = 1 };
/// VBMI, UMIP, VBMI2, GFNI, VAES, VPCLMULQDQ, VNNI, BITALG, VPOPCNTDQ. Not PKU, whose bit OSPKE follows CR4; not LA57.
static const uint32_t structured_ecx =
    BIT(1) | BIT(2) | BIT(6) | BIT(8) | BIT(9) | BIT(10) | BIT(11) | BIT(12) | BIT(14);
/// FSRM. Not the speculation controls, which are MSRs.
static const uint32_t structured_edx = BIT(4);

/// 0x80000001: LAHF, LZCNT, PREFETCHW; SYSCALL, NX, 1-GiB pages, RDTSCP, long mode.
static const uint32_t extended_ecx = BIT(0) | BIT(5) | BIT(8);
static const uint32_t extended_edx = BIT(11) | BIT(20) | BIT(26) | BIT(27) | BIT(29);
enum { INVARIANT_TSC = 8 };

/// Components of XCR0 that the guest may enable: x87, SSE, AVX, AVX-512. Not AMX, which needs IA32_XFD; not PKRU.
enum { XCR0_OFFERED = 0xe7, XSAVE_LEGACY = 576, XSAVE_COMPONENTS = 63, XSAVE_ALIGNED = 2 };
/// XSAVEOPT, XSAVEC, XGETBV with ECX = 1. Not XSAVES, whose IA32_XSS is no state of a vcpu's.
enum { XSAVE_INSTRUCTIONS = 7 };

struct builder {
    const struct cpuid_machine *machine;
    struct pv_cpuid_entry *table;
    uint32_t count;
};

static void add(struct builder *b, uint32_t leaf, uint32_t subleaf, struct pv_cpuid r)
{
    if (b->count < PV_MAX_CPUID)
        b->table[b->count++] = (struct pv_cpuid_entry){leaf, subleaf, r.eax, r.ebx, r.ecx, r.edx};
}

/// Bits that number the vcpus: ceil(log2(cpus)).
static uint32_t id_bits(const struct cpuid_machine *machine)
{
    uint32_t bits = 0;
    while ((UINT32_C(1) << bits) < machine->cpus)
        bits++;
    return bits;
}

static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static void add_basic(struct builder *b)
{
    const struct cpuid_machine *m = b->machine;
    struct pv_cpuid r = m->host(0, 0);
    r.eax = MAX_BASIC;
    add(b, 0, PV_CPUID_ANY, r);
    r = m->host(1, 0);
    r.ebx = (r.ebx & 0xff00) | m->apic_id << 24 | smaller(UINT32_C(1) << id_bits(m), 255) << 16;
    r.ecx = (r.ecx & features_ecx) | features_ecx_own; // the multiplexer adds OSXSAVE
    r.ecx |= m->no_x2apic ? 0 : BIT(FEATURES_X2APIC);
    r.edx = (r.edx & features_edx) | (m->cpus > 1 ? BIT(FEATURES_HTT) : 0);
    add(b, 1, PV_CPUID_ANY, r);
    add(b, 2, PV_CPUID_ANY, m->host(2, 0));
}

/// Leaf 4: the machine's caches; the last level is shared by all vcpus, the others by none.
static void add_caches(struct builder *b)
{
    enum { TYPE = 31, LEVEL_SHIFT = 5, LAST_LEVEL = 3, SHARING_SHIFT = 14, CORES_SHIFT = 26, KEPT = 0x3fff };
    const struct cpuid_machine *m = b->machine;
    const uint32_t all = (UINT32_C(1) << id_bits(m)) - 1;
    for (uint32_t i = 0; i < CACHE_SUBLEAVES; i++) {
        struct pv_cpuid r = m->host(4, i);
        const uint32_t type = r.eax & TYPE, level = r.eax >> LEVEL_SHIFT & 7;
        if (type != 0)
            r.eax = (r.eax & KEPT) | (level >= LAST_LEVEL ? smaller(all, 0xfff) << SHARING_SHIFT : 0) |
                    smaller(all, 63) << CORES_SHIFT;
        add(b, 4, i, r);
        if (type == 0)
            break;
    }
}

static void add_features(struct builder *b)
{
    const struct cpuid_machine *m = b->machine;
    struct pv_cpuid r = m->host(0, 0).eax >= 7 ? m->host(7, 0) : (struct pv_cpuid){0};
    r.eax = 0;
    r.ebx = (r.ebx & structured_ebx) | BIT(TSC_ADJUST);
    r.ecx &= structured_ecx;
    r.edx &= structured_edx;
    add(b, 7, 0, r);
    add(b, 6, PV_CPUID_ANY, (struct pv_cpuid){.eax = BIT(2)}); // the APIC timer never stops
}

/// Leaf 0xb: one thread a core, all cores in one package.
static void add_topology(struct builder *b)
{
    enum { THREADS = 1 << 8, CORES = 2 << 8 };
    const struct cpuid_machine *m = b->machine;
    add(b, 0xb, 0, (struct pv_cpuid){.eax = 0, .ebx = 1, .ecx = THREADS, .edx = m->apic_id});
    add(b, 0xb, 1, (struct pv_cpuid){.eax = id_bits(m), .ebx = m->cpus, .ecx = CORES | 1, .edx = m->apic_id});
    add(b, 0xb, 2, (struct pv_cpuid){.ecx = 2, .edx = m->apic_id});
}

/// The frequency that was measured at boot. The "crystal" is what the emulated APIC timer counts: the TSC itself, halved until it
/// fits the leaf's 32 bits.
static void add_clock(struct builder *b)
{
    enum { MHZ = 1000000, KHZ = 1000 };
    uint64_t crystal = b->machine->tsc_hz;
    uint32_t ratio = 1;
    for (; crystal > UINT32_MAX; crystal /= 2)
        ratio *= 2;
    const uint32_t mhz = (uint32_t)(b->machine->tsc_hz / MHZ);
    add(b, 0x15, PV_CPUID_ANY, (struct pv_cpuid){.eax = 1, .ebx = ratio, .ecx = (uint32_t)crystal});
    add(b, 0x16, PV_CPUID_ANY, (struct pv_cpuid){.eax = mhz, .ebx = mhz});
    struct pv_cpuid name = {.eax = HYPERVISOR_TIMING};
    static const char signature[12] = "Polyvisor";
    memcpy(&name.ebx, signature, 4);
    memcpy(&name.ecx, signature + 4, 4);
    memcpy(&name.edx, signature + 8, 4);
    add(b, HYPERVISOR, PV_CPUID_ANY, name);
    add(b, HYPERVISOR_TIMING, PV_CPUID_ANY,
        (struct pv_cpuid){.eax = (uint32_t)(b->machine->tsc_hz / KHZ), .ebx = (uint32_t)(crystal / KHZ)});
}

static void add_extended(struct builder *b)
{
    const struct cpuid_machine *m = b->machine;
    add(b, extended, PV_CPUID_ANY, (struct pv_cpuid){.eax = max_extended});
    struct pv_cpuid r = m->host(extended + 1, 0);
    add(b, extended + 1, PV_CPUID_ANY, (struct pv_cpuid){.ecx = r.ecx & extended_ecx, .edx = r.edx & extended_edx});
    for (uint32_t i = 2; i <= 4; i++) // the brand string
        add(b, extended + i, PV_CPUID_ANY, m->host(extended + i, 0));
    add(b, extended + 6, PV_CPUID_ANY, m->host(extended + 6, 0));
    r = m->host(extended + 7, 0);
    add(b, extended + 7, PV_CPUID_ANY, (struct pv_cpuid){.edx = r.edx & BIT(INVARIANT_TSC)});
    r = m->host(extended + 8, 0);
    add(b, extended + 8, PV_CPUID_ANY, (struct pv_cpuid){.eax = (r.eax & 0xff) | 48 << 8});
}

uint32_t cpuid_table(const struct cpuid_machine *machine, struct pv_cpuid_entry *table)
{
    struct builder b = {.machine = machine, .table = table};
    add_basic(&b);
    add_caches(&b);
    add_features(&b);
    add_topology(&b);
    add_clock(&b);
    add_extended(&b);
    return b.count;
}

/* ---- leaf 0xd ---- */

static uint64_t offered(const struct cpuid_machine *machine)
{
    return machine->host(0xd, 0).eax & XCR0_OFFERED;
}

/// Bytes of an XSAVE area for some components, in the standard format or the compacted one.
static uint32_t area_size(const struct cpuid_machine *machine, uint64_t components, bool compacted)
{
    uint32_t size = XSAVE_LEGACY;
    for (uint32_t i = 2; i < XSAVE_COMPONENTS; i++) {
        if ((components >> i & 1) == 0)
            continue;
        const struct pv_cpuid r = machine->host(0xd, i);
        if (compacted && (r.ecx & XSAVE_ALIGNED) != 0)
            size = (size + 63) & ~UINT32_C(63);
        const uint32_t end = (compacted ? size : r.ebx) + r.eax;
        size = end > size ? end : size;
    }
    return size;
}

struct pv_cpuid cpuid_delivered(const struct cpuid_machine *machine, uint32_t leaf, uint32_t subleaf, uint64_t xcr0)
{
    if (leaf != 0xd)
        return (struct pv_cpuid){0};
    if (subleaf == 0)
        return (struct pv_cpuid){.eax = (uint32_t)offered(machine),
                                 .ebx = area_size(machine, xcr0, false),
                                 .ecx = area_size(machine, offered(machine), false)};
    if (subleaf == 1)
        return (struct pv_cpuid){.eax = machine->host(0xd, 1).eax & XSAVE_INSTRUCTIONS,
                                 .ebx = area_size(machine, xcr0, true)};
    if (subleaf >= XSAVE_COMPONENTS || (offered(machine) >> subleaf & 1) == 0)
        return (struct pv_cpuid){0};
    return machine->host(0xd, subleaf);
}
