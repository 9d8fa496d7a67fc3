// SPDX-License-Identifier: Apache-2.0
/// Configuration: grants of MSRs and ports, and what none can be had of.
#include "config_reader.h"

#include <polyvisor/format.h>
#include <polyvisor/string.h>
#include <polyvisor/vcpu.h>

enum {
    GRANT_BOTH = PV_GRANT_READ | PV_GRANT_WRITE,
    MSR_LOW_LAST = 0x1fff, // the two ranges of the MSR bitmap, SDM Vol. 3C 25.6.9
    IO_LAST = 0xffff,
    RANGE_TEXT = 24,
};

#define MSR_HIGH_FIRST UINT32_C(0xc0000000)
#define MSR_HIGH_LAST UINT32_C(0xc0001fff)

/// What no configuration can grant: with it a guest would reach others, or it has that anyway.
struct refusal {
    uint32_t first, last;
    uint32_t how;     ///< enum pv_grant bits
    const char *name; ///< the SDM's, Vol. 4
    const char *why;  ///< follows "expected MSRs without NAME (RANGE), "
};

#define NOT_AT_ALL GRANT_BOTH
#define NOT_WRITTEN PV_GRANT_WRITE
#define OWN_ALREADY "which each guest has of its own without a grant"
#define MACHINE_CHECKS "which tell the multiplexer of machine checks"
#define MEMORY_TYPES "on which the memory types of everything on the core depend"
#define ANY_MEMORY "which name physical memory for the processor to write to"

static const struct refusal msr_refusals[] = {
    {0x10, 0x10, NOT_WRITTEN, "IA32_TIME_STAMP_COUNTER", "which is the multiplexer's clock"},
    {0x1b, 0x1b, NOT_AT_ALL, "IA32_APIC_BASE", "which moves the core's local APIC or switches it off"},
    {0x3a, 0x3a, NOT_AT_ALL, "IA32_FEATURE_CONTROL", "which decides whether the core may use VMX"},
    {0x3b, 0x3b, NOT_WRITTEN, "IA32_TSC_ADJUST", "which changes the TSC, the multiplexer's clock"},
    {0x79, 0x79, NOT_AT_ALL, "IA32_BIOS_UPDT_TRIG", "which loads microcode"},
    {0x174, 0x176, NOT_AT_ALL, "IA32_SYSENTER_CS, _ESP and _EIP", OWN_ALREADY " (they are fields of the VMCS)"},
    {0x17a, 0x17b, NOT_WRITTEN, "IA32_MCG_STATUS and IA32_MCG_CTL", MACHINE_CHECKS},
    {0x1a0, 0x1a0, NOT_WRITTEN, "IA32_MISC_ENABLE", "which can switch off no-execute pages for the multiplexer too"},
    {0x200, 0x21f, NOT_WRITTEN, "IA32_MTRR_PHYSBASE0 and the like", MEMORY_TYPES},
    {0x250, 0x26f, NOT_WRITTEN, "IA32_MTRR_FIX64K_00000 and the like", MEMORY_TYPES},
    {0x277, 0x277, NOT_AT_ALL, "IA32_PAT", OWN_ALREADY " (it is a field of the VMCS)"},
    {0x280, 0x29f, NOT_WRITTEN, "IA32_MC0_CTL2 and the like", MACHINE_CHECKS},
    {0x2ff, 0x2ff, NOT_WRITTEN, "IA32_MTRR_DEF_TYPE", MEMORY_TYPES},
    {0x400, 0x47f, NOT_WRITTEN, "IA32_MC0_CTL and the like", MACHINE_CHECKS},
    {0x480, 0x493, NOT_WRITTEN, "IA32_VMX_BASIC and the like", "which describe VMX and cannot be written"},
    {0x560, 0x587, NOT_WRITTEN, "IA32_RTIT_OUTPUT_BASE and the like", ANY_MEMORY},
    {0x600, 0x600, NOT_WRITTEN, "IA32_DS_AREA",
     "which has the processor write records, while the multiplexer runs too"},
    {0x6e0, 0x6e0, NOT_AT_ALL, "IA32_TSC_DEADLINE", "which is the multiplexer's timer"},
    {0x800, 0x8ff, NOT_AT_ALL, "IA32_X2APIC_APICID and the like", "which are the core's local APIC"},
    {0x982, 0x984, NOT_WRITTEN, "IA32_TME_ACTIVATE and the like", "which encrypt the machine's memory"},
    {0xda0, 0xda0, NOT_WRITTEN, "IA32_XSS", "which opens Intel PT's registers, and so physical memory, to XRSTORS"},
    {0x17d0, 0x17d1, NOT_WRITTEN, "IA32_HW_FEEDBACK_PTR and _CONFIG", ANY_MEMORY},
    {0xc0000080, 0xc0000082, NOT_AT_ALL, "IA32_EFER, IA32_STAR and IA32_LSTAR", OWN_ALREADY},
    {0xc0000084, 0xc0000084, NOT_AT_ALL, "IA32_FMASK", OWN_ALREADY},
    {0xc0000100, 0xc0000103, NOT_AT_ALL, "IA32_FS_BASE to IA32_TSC_AUX", OWN_ALREADY},
};

#define DMA "the DMA controllers", "which reach all memory"
#define PIC "the interrupt controllers (PIC)", "which are the multiplexer's"
#define PIT "the timer (PIT)", "by which the multiplexer measures time"
#define PORT_B "system control port B", "which gates the timer (PIT) and NMIs"
#define SUPER_IO "the super I/O's configuration", "which moves devices such as the console"

/// With the addresses at which chipsets show a controller once more.
static const struct refusal io_refusals[] = {
    {0x00, 0x1f, NOT_AT_ALL, DMA},
    {0x20, 0x2d, NOT_AT_ALL, PIC},
    {0x2e, 0x2f, NOT_AT_ALL, SUPER_IO},
    {0x30, 0x3f, NOT_AT_ALL, PIC},
    {0x40, 0x43, NOT_AT_ALL, PIT},
    {0x4e, 0x4f, NOT_AT_ALL, SUPER_IO},
    {0x50, 0x53, NOT_AT_ALL, PIT},
    {0x61, 0x61, NOT_AT_ALL, PORT_B},
    {0x63, 0x63, NOT_AT_ALL, PORT_B},
    {0x64, 0x64, NOT_AT_ALL, "the keyboard controller's command port", "which can reset the machine"},
    {0x65, 0x65, NOT_AT_ALL, PORT_B},
    {0x67, 0x67, NOT_AT_ALL, PORT_B},
    {0x81, 0x91, NOT_AT_ALL, DMA},
    {0x92, 0x92, NOT_AT_ALL, "system control port A", "which can reset the machine"},
    {0x93, 0x9f, NOT_AT_ALL, DMA},
    {0xa0, 0xb1, NOT_AT_ALL, PIC},
    {0xb2, 0xb3, NOT_AT_ALL, "the SMI command port", "which runs firmware on the guest's registers"},
    {0xb4, 0xbf, NOT_AT_ALL, PIC},
    {0xc0, 0xdf, NOT_AT_ALL, DMA},
    {0x3f8, 0x3ff, NOT_AT_ALL, "COM1", "which is the console"},
    {0x4d0, 0x4d1, NOT_AT_ALL, PIC},
    {0xcf8, 0xcff, NOT_AT_ALL, "PCI configuration and reset control",
     "which can point devices at any memory and reset the machine"},
};

/// MSRs or ports.
struct grant_kind {
    const char *key;
    const char *plural;
    const char *form; ///< of a range
    bool (*in_reach)(const struct config_grant *grant);
    const struct refusal *refusals;
    size_t refusal_count;
};

static bool msrs_in_reach(const struct config_grant *grant)
{
    return grant->last <= MSR_LOW_LAST || (grant->first >= MSR_HIGH_FIRST && grant->last <= MSR_HIGH_LAST);
}

static bool ports_in_reach(const struct config_grant *grant)
{
    return grant->last <= IO_LAST;
}

static const struct grant_kind msr_kind = {
    .key = "msr",
    .plural = "MSRs",
    .form = "an MSR from 0 to 0x1fff or from 0xc0000000 to 0xc0001fff, or a range such as 0x10-0x11",
    .in_reach = msrs_in_reach,
    .refusals = msr_refusals,
    .refusal_count = sizeof(msr_refusals) / sizeof(msr_refusals[0]),
};

static const struct grant_kind io_kind = {
    .key = "io",
    .plural = "ports",
    .form = "a port from 0 to 0xffff or a range such as 0x300-0x31f",
    .in_reach = ports_in_reach,
    .refusals = io_refusals,
    .refusal_count = sizeof(io_refusals) / sizeof(io_refusals[0]),
};

/// Prints "0x10" or "0x10-0x1f". Returns text.
static const char *range_text(char text[RANGE_TEXT], uint32_t first, uint32_t last)
{
    pv_snprintf(text, RANGE_TEXT, first == last ? "0x%x" : "0x%x-0x%x", first, last);
    return text;
}

/// Fails when the kind refuses any of `how` to a part of the grant.
static bool check_refusals(struct config_reader *reader, const struct config_token *token,
                           const struct grant_kind *kind, const struct config_grant *grant, uint32_t how)
{
    char text[RANGE_TEXT];

    for (size_t i = 0; i < kind->refusal_count; i++) {
        const struct refusal *r = &kind->refusals[i];
        if (grant->first <= r->last && r->first <= grant->last && (r->how & how) != 0)
            return config_fail(reader, token, "%s%s without %s (%s), %s", r->how == NOT_WRITTEN ? "read, or " : "",
                               kind->plural, r->name, range_text(text, r->first, r->last), r->why);
    }
    return true;
}

/// FIRST[-LAST] of a grant, then moves on.
static bool read_grant_range(struct config_reader *reader, const struct grant_kind *kind, struct config_grant *grant)
{
    struct config_token token = reader->token;
    char text[RANGE_TEXT];
    size_t at = 0;
    bool good = token.kind == CONFIG_TOKEN_WORD && config_scan_register(&token, &at, UINT32_MAX, &grant->first);

    grant->last = grant->first;
    if (good && at < token.size && token.text[at] == '-') {
        at++;
        good = config_scan_register(&token, &at, UINT32_MAX, &grant->last);
    }
    if (good && at == token.size && grant->last < grant->first)
        return config_fail(reader, &token, "a range that ascends, %s", range_text(text, grant->last, grant->first));
    if (!good || at != token.size || !kind->in_reach(grant))
        return config_fail(reader, &token, "%s", kind->form);
    // What is refused for reading is refused altogether.
    return check_refusals(reader, &token, kind, grant, PV_GRANT_READ) && config_next(reader);
}

/// Puts a grant behind the others; on the command line it replaces the one of the same range.
static bool add_grant(struct config_reader *reader, const struct config_token *token, const struct grant_kind *kind,
                      const struct config_grant *grant, struct config_grant *grants, uint32_t *count)
{
    uint32_t to = *count;
    char text[RANGE_TEXT];

    for (uint32_t i = 0; i < *count; i++) {
        const struct config_grant *other = &grants[i];
        if (grant->first > other->last || other->first > grant->last)
            continue;
        range_text(text, other->first, other->last);
        if (reader->line == 0 && grant->first == other->first && grant->last == other->last)
            to = i;
        else if (other->place.line == 0)
            return config_fail(reader, token, "%s without %s, which the command line grants already", kind->plural,
                               text);
        else
            return config_fail(reader, token, "%s without %s, which line %u grants already", kind->plural, text,
                               other->place.line);
    }
    if (to == CONFIG_MAX_GRANTS)
        return config_fail(reader, token, "'%s' at most %d times in a personality", kind->key, CONFIG_MAX_GRANTS);
    grants[to] = *grant;
    *count += to == *count ? 1 : 0;
    return true;
}

bool config_read_msr(struct config_reader *reader, struct config_personality *p)
{
    struct config_token range = reader->token, how;
    struct config_grant grant = {.place = range.place};

    if (!read_grant_range(reader, &msr_kind, &grant))
        return false;
    how = reader->token;
    if (config_token_is(&how, "read"))
        grant.how = PV_GRANT_READ;
    else if (config_token_is(&how, "write"))
        grant.how = PV_GRANT_WRITE;
    else if (config_token_is(&how, "both"))
        grant.how = GRANT_BOTH;
    else
        return config_fail(reader, &how, "read, write or both");
    return check_refusals(reader, &how, &msr_kind, &grant, grant.how) &&
           add_grant(reader, &range, &msr_kind, &grant, p->msr_grants, &p->msr_grant_count) && config_next(reader);
}

bool config_read_io(struct config_reader *reader, struct config_personality *p)
{
    struct config_token range = reader->token;
    struct config_grant grant = {.how = GRANT_BOTH, .place = range.place}; // the bitmaps know no direction

    return read_grant_range(reader, &io_kind, &grant) &&
           add_grant(reader, &range, &io_kind, &grant, p->io_grants, &p->io_grant_count);
}
