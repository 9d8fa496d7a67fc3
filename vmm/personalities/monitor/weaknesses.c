// SPDX-License-Identifier: Apache-2.0
/*
 * Which weaknesses a processor has. Sources: IA32_ARCH_CAPABILITIES (SDM Vol. 4, table 2-2), Intel's list "Affected Processors:
 * Transient Execution Attacks", and the specification updates that are named at the errata. Only Intel's family 6 is known here.
 */
#include "processor.h"

#include <polyvisor/string.h>

enum { ANY_STEPPING = 15, FAMILY_P6 = 6 };

/// What is known of a model and cannot be asked of the processor.
enum model_fact {
    // has not:
    NO_SPECULATION = 1 << 0, ///< executes in order
    NO_L1TF = 1 << 1,
    NO_MDS = 1 << 2,
    NO_SSB = 1 << 3,
    NO_MULTIHIT = 1 << 4,
    // has:
    SRBDS = 1 << 8,
    MMIO = 1 << 9,
    RETBLEED = 1 << 10,
    GDS = 1 << 11,
    RFDS = 1 << 12,
    ITS = 1 << 13,
    TIMER_LARGE = 1 << 14,      ///< early expiry of large VMX-preemption timer values
    PERF_GLOBAL_CTRL = 1 << 15, ///< VM entry and exit load IA32_PERF_GLOBAL_CTRL wrongly
};

enum {
    SILVERMONT = NO_L1TF | NO_SSB | NO_MULTIHIT,
    GOLDMONT = NO_L1TF | NO_MDS | NO_MULTIHIT | RFDS,
    IN_ORDER = NO_SPECULATION | NO_MULTIHIT,
};

/// By model; of several lines for a model, the first whose stepping is not exceeded counts.
static const struct model_facts {
    uint8_t model;
    uint8_t last_stepping;
    uint32_t facts;
} models[] = {
    {0x0e, ANY_STEPPING, NO_SSB},                                    // Yonah
    {0x1a, ANY_STEPPING, PERF_GLOBAL_CTRL},                          // Nehalem-EP
    {0x1c, ANY_STEPPING, IN_ORDER},                                  // Bonnell
    {0x1e, ANY_STEPPING, PERF_GLOBAL_CTRL},                          // Lynnfield
    {0x25, ANY_STEPPING, PERF_GLOBAL_CTRL},                          // Clarkdale
    {0x26, ANY_STEPPING, IN_ORDER},                                  // Bonnell
    {0x27, ANY_STEPPING, IN_ORDER},                                  // Saltwell
    {0x2c, ANY_STEPPING, PERF_GLOBAL_CTRL},                          // Westmere-EP
    {0x2e, ANY_STEPPING, PERF_GLOBAL_CTRL},                          // Nehalem-EX
    {0x35, ANY_STEPPING, IN_ORDER},                                  // Saltwell
    {0x36, ANY_STEPPING, IN_ORDER},                                  // Saltwell
    {0x37, ANY_STEPPING, SILVERMONT},                                // Silvermont
    {0x3a, ANY_STEPPING, SRBDS},                                     // Ivy Bridge
    {0x3c, ANY_STEPPING, SRBDS},                                     // Haswell
    {0x3d, ANY_STEPPING, SRBDS},                                     // Broadwell
    {0x3f, ANY_STEPPING, MMIO},                                      // Haswell, server
    {0x45, ANY_STEPPING, SRBDS},                                     // Haswell, mobile
    {0x46, ANY_STEPPING, SRBDS},                                     // Haswell, with graphics
    {0x47, ANY_STEPPING, SRBDS},                                     // Broadwell, with graphics
    {0x4a, ANY_STEPPING, SILVERMONT},                                // Silvermont
    {0x4c, ANY_STEPPING, SILVERMONT},                                // Airmont
    {0x4d, ANY_STEPPING, SILVERMONT},                                // Silvermont
    {0x4e, ANY_STEPPING, MMIO | RETBLEED | GDS | SRBDS},             // Skylake, mobile
    {0x4f, ANY_STEPPING, MMIO},                                      // Broadwell, server
    {0x55, 5, MMIO | RETBLEED | GDS | TIMER_LARGE},                  // Skylake, server
    {0x55, ANY_STEPPING, MMIO | RETBLEED | GDS | ITS | TIMER_LARGE}, // Cascade and Cooper Lake
    {0x56, ANY_STEPPING, MMIO},                                      // Broadwell, server
    {0x57, ANY_STEPPING, SILVERMONT},                                // Knights Landing
    {0x5a, ANY_STEPPING, NO_L1TF | NO_MULTIHIT},                     // Airmont
    {0x5c, ANY_STEPPING, GOLDMONT},                                  // Goldmont
    {0x5e, ANY_STEPPING, MMIO | RETBLEED | GDS | SRBDS},             // Skylake
    {0x5f, ANY_STEPPING, GOLDMONT},                                  // Goldmont, server
    {0x66, ANY_STEPPING, RETBLEED},                                  // Cannon Lake
    {0x6a, ANY_STEPPING, MMIO | GDS | ITS | TIMER_LARGE},            // Ice Lake, server
    {0x6c, ANY_STEPPING, MMIO | GDS | ITS | TIMER_LARGE},            // Ice Lake, server
    {0x75, ANY_STEPPING, NO_L1TF | NO_MULTIHIT},                     // Airmont
    {0x7a, ANY_STEPPING, GOLDMONT},                                  // Goldmont Plus
    {0x7e, ANY_STEPPING, MMIO | SRBDS | RETBLEED | GDS | ITS},       // Ice Lake, mobile
    {0x85, ANY_STEPPING, SILVERMONT},                                // Knights Mill
    {0x86, ANY_STEPPING, MMIO | RFDS | NO_MULTIHIT},                 // Tremont, server
    {0x8a, ANY_STEPPING, MMIO | SRBDS | RETBLEED},                   // Lakefield
    {0x8c, ANY_STEPPING, GDS | ITS},                                 // Tiger Lake, mobile
    {0x8d, ANY_STEPPING, GDS | ITS},                                 // Tiger Lake
    {0x8e, 0xb, MMIO | RETBLEED | GDS | SRBDS},                      // Kaby Lake, mobile
    {0x8e, ANY_STEPPING, MMIO | RETBLEED | GDS | SRBDS | ITS},       // later ones
    {0x8f, ANY_STEPPING, TIMER_LARGE},                               // Sapphire Rapids
    {0x96, ANY_STEPPING, MMIO | SRBDS | RFDS},                       // Tremont
    {0x97, ANY_STEPPING, RFDS},                                      // Alder Lake
    {0x9a, ANY_STEPPING, RFDS},                                      // Alder Lake, mobile
    {0x9c, ANY_STEPPING, MMIO | SRBDS | RFDS},                       // Tremont, mobile
    {0x9e, 0xc, MMIO | RETBLEED | GDS | SRBDS},                      // Kaby Lake
    {0x9e, ANY_STEPPING, MMIO | RETBLEED | GDS | SRBDS | ITS},       // later ones
    {0xa5, ANY_STEPPING, MMIO | SRBDS | RETBLEED | GDS | ITS},       // Comet Lake
    {0xa6, 0, MMIO | RETBLEED},                                      // Comet Lake, mobile, early
    {0xa6, ANY_STEPPING, MMIO | SRBDS | RETBLEED | GDS | ITS},       // Comet Lake, mobile
    {0xa7, ANY_STEPPING, MMIO | RETBLEED | GDS | ITS},               // Rocket Lake
    {0xb7, ANY_STEPPING, RFDS},                                      // Raptor Lake
    {0xba, ANY_STEPPING, RFDS},                                      // Raptor Lake, mobile
    {0xbe, ANY_STEPPING, RFDS},                                      // Alder Lake-N
    {0xbf, ANY_STEPPING, RFDS},                                      // Raptor Lake-S
    {0xcf, ANY_STEPPING, TIMER_LARGE},                               // Emerald Rapids
};

/// Facts of the processor's model; none for a model that is not listed.
static uint32_t facts(const struct processor *p)
{
    if (!p->intel || p->family != FAMILY_P6)
        return 0;
    for (size_t i = 0; i < sizeof(models) / sizeof(models[0]); i++)
        if (models[i].model == p->model && p->stepping <= models[i].last_stepping)
            return models[i].facts;
    return 0;
}

static bool has_fact(const struct processor *p, uint32_t fact)
{
    return facts(p) & fact;
}

/// Bits of IA32_ARCH_CAPABILITIES.
enum {
    RDCL_NO = 0,
    IBRS_ALL = 1,
    RSBA = 2,
    SSB_NO = 4,
    MDS_NO = 5,
    PSCHANGE_MC_NO = 6,
    TSX_CTRL = 7,
    TAA_NO = 8,
    SBDR_SSDP_NO = 13,
    FBSDP_NO = 14,
    PSDP_NO = 15,
    BHI_NO = 20,
    GDS_NO = 26,
    RFDS_NO = 27,
    RFDS_CLEAR = 28,
    ITS_NO = 62,
};

const char *processor_arch_capability(unsigned bit)
{
    static const char *const names[64] = {
        [0] = "RDCL_NO",
        [1] = "IBRS_ALL",
        [2] = "RSBA",
        [3] = "SKIP_L1DFL_VMENTRY",
        [4] = "SSB_NO",
        [5] = "MDS_NO",
        [6] = "IF_PSCHANGE_MC_NO",
        [7] = "TSX_CTRL",
        [8] = "TAA_NO",
        [9] = "MCU_CONTROL",
        [10] = "MISC_PACKAGE_CTLS",
        [11] = "ENERGY_FILTERING_CTL",
        [12] = "DOITM",
        [13] = "SBDR_SSDP_NO",
        [14] = "FBSDP_NO",
        [15] = "PSDP_NO",
        [17] = "FB_CLEAR",
        [18] = "FB_CLEAR_CTRL",
        [19] = "RRSBA",
        [20] = "BHI_NO",
        [21] = "XAPIC_DISABLE_STATUS",
        [23] = "OVERCLOCKING_STATUS",
        [24] = "PBRSB_NO",
        [25] = "GDS_CTRL",
        [26] = "GDS_NO",
        [27] = "RFDS_NO",
        [28] = "RFDS_CLEAR",
        [62] = "ITS_NO",
    };
    return bit < 64 ? names[bit] : NULL;
}

static bool capable(const struct processor *p, unsigned bit)
{
    return p->arch_capabilities >> bit & 1;
}

static bool speculates(const struct processor *p)
{
    return p->intel && !has_fact(p, NO_SPECULATION);
}

static bool has_meltdown(const struct processor *p)
{
    return speculates(p) && !capable(p, RDCL_NO);
}

static bool has_l1tf(const struct processor *p)
{
    return has_meltdown(p) && !has_fact(p, NO_L1TF);
}

static bool has_mds(const struct processor *p)
{
    return speculates(p) && !has_fact(p, NO_MDS) && !capable(p, MDS_NO);
}

static bool has_taa(const struct processor *p)
{
    return speculates(p) && !capable(p, TAA_NO) && (processor_has_named(p, "rtm") || capable(p, TSX_CTRL));
}

static bool has_multihit(const struct processor *p)
{
    return p->intel && !has_fact(p, NO_MULTIHIT) && !capable(p, PSCHANGE_MC_NO);
}

static bool has_spectre_v2(const struct processor *p)
{
    return speculates(p);
}

static bool has_bhi(const struct processor *p)
{
    return speculates(p) && capable(p, IBRS_ALL) && !capable(p, BHI_NO);
}

static bool has_ssb(const struct processor *p)
{
    return speculates(p) && !has_fact(p, NO_SSB) && !capable(p, SSB_NO);
}

static bool has_srbds(const struct processor *p)
{
    return has_fact(p, SRBDS) && (processor_has_named(p, "rdrand") || processor_has_named(p, "rdseed"));
}

static bool has_mmio(const struct processor *p)
{
    return has_fact(p, MMIO) && !(capable(p, SBDR_SSDP_NO) && capable(p, FBSDP_NO) && capable(p, PSDP_NO));
}

static bool has_retbleed(const struct processor *p)
{
    return p->intel && (has_fact(p, RETBLEED) || capable(p, RSBA));
}

static bool has_gds(const struct processor *p)
{
    return has_fact(p, GDS) && !capable(p, GDS_NO) && processor_has_named(p, "avx");
}

static bool has_rfds(const struct processor *p)
{
    return p->intel && !capable(p, RFDS_NO) && (has_fact(p, RFDS) || capable(p, RFDS_CLEAR));
}

static bool has_its(const struct processor *p)
{
    return has_fact(p, ITS) && !capable(p, ITS_NO) && !processor_has_named(p, "bhi-ctrl");
}

static bool has_timer_large(const struct processor *p)
{
    return has_fact(p, TIMER_LARGE);
}

/// Errata BA86, AAX65, AAT59, AAU65, AAO95, AAN92, AAP86, AAM126 and AAJ124: the timer counts at another rate than it tells.
static bool has_timer_rate(const struct processor *p)
{
    static const uint32_t signatures[] = {0x206e6, 0x20652, 0x20655, 0x106e5, 0x106a0,
                                          0x106a1, 0x106a4, 0x106a5, 0x306a8};
    const uint32_t signature = p->leaves[LEAF_1].eax & 0x0fff3fff; // without the reserved bits
    for (size_t i = 0; i < sizeof(signatures) / sizeof(signatures[0]); i++)
        if (p->intel && signature == signatures[i])
            return true;
    return false;
}

static bool has_perf_global_ctrl(const struct processor *p)
{
    return has_fact(p, PERF_GLOBAL_CTRL);
}

const struct processor_weakness processor_weaknesses[] = {
    {"Meltdown", has_meltdown, "ring 3 can read what only ring 0 may: page tables of ring 3 must not map secrets"},
    {"L1TF", has_l1tf,
     "a guest can read the L1 data cache: flush it before VM entry, give sibling threads to one owner"},
    {"MDS", has_mds, "buffers keep others' data: VERW before ring 3 and guests run (needs md-clear)"},
    {"TAA", has_taa, "as MDS, by aborted transactions: switch TSX off, or VERW"},
    {"ITLB multihit", has_multihit,
     "a guest can halt the core with a machine check: map executable memory in 4 KiB pages"},
    {"Spectre v2", has_spectre_v2, "others' branches steer speculation: IBRS in ring 0, IBPB when the owner changes"},
    {"BHI", has_bhi, "branch history of guests steers ring 0: clear it, or BHI_DIS_S"},
    {"SSB", has_ssb, "loads may pass older stores: SSBD where an owner asks for it"},
    {"SRBDS", has_srbds, "RDRAND and RDSEED values leak between cores: needs microcode"},
    {"MMIO stale data", has_mmio, "device registers give away buffers: VERW before guests with devices run"},
    {"Retbleed", has_retbleed, "returns are predicted by the branch target buffer when deep: IBRS in ring 0"},
    {"GDS", has_gds, "gather instructions leak vector registers: needs microcode"},
    {"RFDS", has_rfds, "registers of others leak: VERW before ring 3 and guests run"},
    {"ITS", has_its,
     "indirect branches in the lower half of a cache line are mispredicted: place them in the upper half"},
    {"preemption timer, large values", has_timer_large,
     "large VMX-preemption timer values expire early: stay below 2^25 x CPUID.15H EBX/EAX, confirm by TSC"},
    {"preemption timer, rate", has_timer_rate, "the VMX-preemption timer does not count at the rate it tells"},
    {"IA32_PERF_GLOBAL_CTRL", has_perf_global_ctrl, "VM entry and exit load this MSR wrongly: load it by software"},
};
const size_t processor_weakness_count = sizeof(processor_weaknesses) / sizeof(processor_weaknesses[0]);
