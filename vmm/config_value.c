// SPDX-License-Identifier: Apache-2.0
/// Configuration: the values of the keys: names, files, sizes, core lists, numbers, strings, grants.
#include "config_reader.h"

#include <polyvisor/format.h>
#include <polyvisor/string.h>
#include <polyvisor/vcpu.h>

#define PAGE_SIZE UINT64_C(4096)
/// No processor addresses more; small enough that sums of all personalities do not overflow.
#define SIZE_LIMIT (UINT64_C(1) << 52)

enum { DECIMAL = 10, HEXADECIMAL = 16 };

const char *config_size_text(char text[CONFIG_SIZE_TEXT], uint64_t bytes)
{
    static const char units[] = {'K', 'M', 'G'};
    char unit = '\0';

    for (size_t i = 0; i < sizeof(units) && bytes != 0 && bytes % 1024 == 0; i++) {
        bytes /= 1024;
        unit = units[i];
    }
    pv_snprintf(text, CONFIG_SIZE_TEXT, unit ? "%llu%c" : "%llu", (unsigned long long)bytes, unit);
    return text;
}

const char *config_store(struct config_reader *reader, const struct config_token *token, const char *text, size_t size)
{
    struct config *config = reader->config;
    char *copy = config->strings + config->strings_used;

    if (size >= sizeof(config->strings) - config->strings_used) {
        config_fail(reader, token, "less text: there is room for %zu bytes of names and strings in all",
                    sizeof(config->strings));
        return NULL;
    }
    memcpy(copy, text, size);
    copy[size] = '\0';
    config->strings_used += size + 1;
    return copy;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_name_byte(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_' || c == '.';
}

bool config_read_name(struct config_reader *reader, const char *what, const char **name)
{
    const struct config_token *token = &reader->token;
    bool good = token->kind == CONFIG_TOKEN_WORD;

    for (size_t i = 0; good && i < token->size; i++)
        good = is_name_byte(token->text[i]);
    if (!good)
        return config_fail(reader, token, "%s (letters, digits, '-', '_', '.')", what);
    if (token->size >= PV_NAME_SIZE)
        return config_fail(reader, token, "%s of at most %d characters", what, PV_NAME_SIZE - 1);
    *name = config_store(reader, token, token->text, token->size);
    return *name != NULL && config_next(reader);
}

bool config_list_file(struct config *config, const char *name)
{
    for (uint32_t i = 0; i < config->file_count; i++) {
        if (strcmp(config->files[i], name) == 0)
            return true;
    }
    if (config->file_count == CONFIG_MAX_FILES)
        return false;
    config->files[config->file_count++] = name;
    return true;
}

/// Copies a word or a string without its quotes and backslashes, and moves on. The lexer has checked the escapes.
static bool read_text(struct config_reader *reader, size_t limit, const char *what, const char **text)
{
    struct config *config = reader->config;
    struct config_token token = reader->token;
    size_t quotes = token.kind == CONFIG_TOKEN_STRING ? 1 : 0;
    const char *from = token.text + quotes;
    const char *end = token.text + token.size - quotes;
    char *copy = config->strings + config->strings_used;
    size_t used = 0;

    *text = config_store(reader, &token, from, (size_t)(end - from)); // room for the longest that it can be
    if (*text == NULL)
        return false;
    for (; from < end; from++) {
        if (quotes != 0 && *from == '\\')
            from++;
        copy[used++] = *from;
    }
    copy[used] = '\0';
    config->strings_used = (size_t)(copy - config->strings) + used + 1;
    if (used > limit)
        return config_fail(reader, &token, "%s of at most %zu bytes, not %zu", what, limit, used);
    return config_next(reader);
}

/// A file name: a bare word, or a string where it has blanks or the like. ASCII, because firmware's names are UCS-2.
static bool read_file(struct config_reader *reader, const char **file)
{
    struct config_token token = reader->token;
    bool good = token.kind == CONFIG_TOKEN_WORD || (token.kind == CONFIG_TOKEN_STRING && token.size > 2);

    for (size_t i = 0; good && i < token.size; i++)
        good = token.text[i] >= 0x20 && token.text[i] <= 0x7e;
    if (!good)
        return config_fail(reader, &token, "a file name (printable ASCII, in quotes where it has blanks)");
    if (!read_text(reader, PV_FILE_SIZE - 1, "a file name", file))
        return false;
    if (!config_list_file(reader->config, *file))
        return config_fail(reader, &token, "at most %d different files", CONFIG_MAX_FILES);
    return true;
}

/// Value of a digit; HEXADECIMAL when it is none.
static unsigned digit_value(char c)
{
    if (is_digit(c))
        return (unsigned)(c - '0');
    if (c >= 'a' && c <= 'f')
        return (unsigned)(c - 'a') + DECIMAL;
    return c >= 'A' && c <= 'F' ? (unsigned)(c - 'A') + DECIMAL : HEXADECIMAL;
}

/// Reads digits of a base from token->text[*at] on. False when there are none or the number is greater than `limit`.
static bool scan_digits(const struct config_token *token, size_t *at, unsigned base, uint64_t limit, uint64_t *value)
{
    size_t start = *at;

    *value = 0;
    for (; *at < token->size && digit_value(token->text[*at]) < base; ++*at) {
        uint64_t digit = digit_value(token->text[*at]);
        if (digit > limit || *value > (limit - digit) / base)
            return false;
        *value = *value * base + digit;
    }
    return *at > start;
}

/// Reads a decimal number.
static bool scan_number(const struct config_token *token, size_t *at, uint64_t limit, uint64_t *value)
{
    return scan_digits(token, at, DECIMAL, limit, value);
}

/// Reads a decimal number, or a hexadecimal one that starts with 0x.
static bool scan_register(const struct config_token *token, size_t *at, uint32_t limit, uint32_t *value)
{
    bool hex = token->size - *at >= 2 && memcmp(token->text + *at, "0x", 2) == 0;
    uint64_t number;

    *at += hex ? 2 : 0;
    if (!scan_digits(token, at, hex ? HEXADECIMAL : DECIMAL, limit, &number))
        return false;
    *value = (uint32_t)number;
    return true;
}

/// Whether a word is digits and then one of the units, which are separated by blanks in `units` ("us ms s").
/// *unit becomes the unit's number, counted from 1; 0: no unit.
static bool scan_unit(const struct config_token *token, const char *units, unsigned *unit)
{
    size_t digits = 0;

    while (digits < token->size && is_digit(token->text[digits]))
        digits++;
    *unit = 0;
    if (token->kind != CONFIG_TOKEN_WORD || digits == 0)
        return false;
    if (digits == token->size)
        return true;
    for (const char *name = units; *name != '\0';) {
        size_t size = 0;
        while (name[size] != '\0' && name[size] != ' ')
            size++;
        ++*unit;
        if (size == token->size - digits && memcmp(name, token->text + digits, size) == 0)
            return true;
        name += size + (name[size] == ' ' ? 1 : 0);
    }
    return false;
}

/// A number of bytes with K, M or G; a multiple of 4 KiB, not zero.
static bool read_size(struct config_reader *reader, uint64_t *bytes)
{
    struct config_token token = reader->token;
    unsigned unit;
    size_t at = 0;

    if (!scan_unit(&token, "K M G", &unit))
        return config_fail(reader, &token, "a size such as 64M (K, M or G)");
    if (!scan_number(&token, &at, SIZE_LIMIT >> (unit * 10), bytes))
        return config_fail(reader, &token, "a size of at most %lluG", (unsigned long long)(SIZE_LIMIT >> 30));
    *bytes <<= unit * 10;
    if (*bytes == 0)
        return config_fail(reader, &token, "a size of at least 4K");
    if (*bytes % PAGE_SIZE != 0)
        return config_fail(reader, &token, "a size that is a multiple of 4K");
    return config_next(reader);
}

bool config_read_time(struct config_reader *reader, uint32_t min_us, uint32_t *microseconds)
{
    static const uint32_t factors[] = {0, 1, 1000, 1000000};
    struct config_token token = reader->token;
    uint64_t value;
    unsigned unit;
    size_t at = 0;

    if (!scan_unit(&token, "us ms s", &unit) || unit == 0)
        return config_fail(reader, &token, "a time such as 1ms (us, ms or s)");
    if (!scan_number(&token, &at, CONFIG_TIME_MAX_US / factors[unit], &value) || value * factors[unit] < min_us)
        return config_fail(reader, &token, "a time from %uus to 1s", min_us);
    *microseconds = (uint32_t)value * factors[unit];
    return config_next(reader);
}

bool config_read_policy(struct config_reader *reader, enum pv_policy *policy)
{
    bool frame = config_token_is(&reader->token, "frame");

    if (!frame && !config_token_is(&reader->token, "weighted"))
        return config_fail(reader, &reader->token, "weighted or frame");
    *policy = frame ? PV_POLICY_FRAME : PV_POLICY_WEIGHTED;
    return config_next(reader);
}

bool config_read_timer(struct config_reader *reader, bool *lapic)
{
    *lapic = config_token_is(&reader->token, "lapic");
    if (!*lapic && !config_token_is(&reader->token, "vmx"))
        return config_fail(reader, &reader->token, "vmx or lapic");
    return config_next(reader);
}

static bool read_image(struct config_reader *reader, struct config_personality *p)
{
    p->image_place = reader->token.place;
    return read_file(reader, &p->image);
}

/// One element of a core list, N or N-M.
static bool read_core_range(struct config_reader *reader, const struct config_token *range, uint64_t *cores)
{
    uint64_t first, last, mask;
    size_t at = 0;
    bool good = scan_number(range, &at, PV_MAX_CORES - 1, &first);

    last = first;
    if (good && at < range->size && range->text[at] == '-') {
        at++;
        good = scan_number(range, &at, PV_MAX_CORES - 1, &last);
    }
    if (!good || at != range->size)
        return config_fail(reader, range, "a core number from 0 to %d or a range such as 2-5", PV_MAX_CORES - 1);
    if (last < first)
        return config_fail(reader, range, "a range that ascends, %llu-%llu", (unsigned long long)last,
                           (unsigned long long)first);
    mask = (UINT64_MAX >> (PV_MAX_CORES - 1 - last)) & (UINT64_MAX << first);
    if ((*cores & mask) != 0)
        return config_fail(reader, range, "cores that the list does not have yet (overlapping cores)");
    *cores |= mask;
    return true;
}

static bool read_core_list(struct config_reader *reader, const struct config_token *list, uint64_t *cores)
{
    *cores = 0;
    for (size_t from = 0; from <= list->size;) {
        size_t end = from;
        while (end < list->size && list->text[end] != ',')
            end++;
        struct config_token range = config_part(list, from, end - from);
        if (!read_core_range(reader, &range, cores))
            return false;
        from = end + 1;
    }
    return true;
}

static bool read_cores(struct config_reader *reader, struct config_personality *p)
{
    struct config_token token = reader->token;

    p->cores_place = token.place;
    p->all_cores = config_token_is(&token, "all");
    p->cores = UINT64_MAX;
    if (token.kind != CONFIG_TOKEN_WORD)
        return config_fail(reader, &token, "a list of cores such as 0-3,5, or all");
    if (!p->all_cores && !read_core_list(reader, &token, &p->cores))
        return false;
    return config_next(reader);
}

static bool read_memory(struct config_reader *reader, struct config_personality *p)
{
    p->memory_place = reader->token.place;
    return read_size(reader, &p->memory);
}

static bool read_quota(struct config_reader *reader, struct config_personality *p)
{
    return read_size(reader, &p->quota);
}

static bool read_weight(struct config_reader *reader, struct config_personality *p)
{
    struct config_token token = reader->token;
    uint64_t weight = 0;
    size_t at = 0;

    if (token.kind != CONFIG_TOKEN_WORD || !scan_number(&token, &at, CONFIG_WEIGHT_MAX, &weight) || at != token.size ||
        weight == 0)
        return config_fail(reader, &token, "a weight from 1 to %d", CONFIG_WEIGHT_MAX);
    p->weight = (uint32_t)weight;
    return config_next(reader);
}

static bool read_debug(struct config_reader *reader, struct config_personality *p)
{
    p->baseline = config_token_is(&reader->token, "baseline");
    p->debug = p->baseline || config_token_is(&reader->token, "yes");
    if (!p->debug && !config_token_is(&reader->token, "no"))
        return config_fail(reader, &reader->token, "yes, no or baseline");
    return config_next(reader);
}

static bool read_args(struct config_reader *reader, struct config_personality *p)
{
    // The command line has quotes of its own, which are only needed round blanks.
    bool bare = reader->line == 0 && reader->token.kind == CONFIG_TOKEN_WORD;

    if (reader->token.kind != CONFIG_TOKEN_STRING && !bare)
        return config_fail(reader, &reader->token, "a string in quotes");
    return read_text(reader, PV_ARGS_SIZE - 1, "a string", &p->args);
}

/// Adds a module; on the command line one of the same name is replaced.
static bool read_module(struct config_reader *reader, struct config_personality *p)
{
    struct config_token name_token = reader->token;
    struct config_module module;
    uint32_t i = 0;

    if (!config_read_name(reader, "a module's name", &module.name))
        return false;
    while (i < p->module_count && strcmp(p->modules[i].name, module.name) != 0)
        i++;
    if (i < p->module_count && reader->line != 0)
        return config_fail(reader, &name_token, "a new name: the file on line %u is called so",
                           p->modules[i].place.line);
    if (i == PV_MAX_MODULES)
        return config_fail(reader, &name_token, "at most %d modules in a personality", PV_MAX_MODULES);
    module.place = reader->token.place;
    if (!read_file(reader, &module.file))
        return false;
    p->modules[i] = module;
    if (i == p->module_count)
        p->module_count++;
    return true;
}

// ---- grants ----

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
    bool good = token.kind == CONFIG_TOKEN_WORD && scan_register(&token, &at, UINT32_MAX, &grant->first);

    grant->last = grant->first;
    if (good && at < token.size && token.text[at] == '-') {
        at++;
        good = scan_register(&token, &at, UINT32_MAX, &grant->last);
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

static bool read_msr(struct config_reader *reader, struct config_personality *p)
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

static bool read_io(struct config_reader *reader, struct config_personality *p)
{
    struct config_token range = reader->token;
    struct config_grant grant = {.how = GRANT_BOTH, .place = range.place}; // the bitmaps know no direction

    return read_grant_range(reader, &io_kind, &grant) &&
           add_grant(reader, &range, &io_kind, &grant, p->io_grants, &p->io_grant_count);
}

static bool read_net(struct config_reader *reader, struct config_personality *p)
{
    p->net_place = reader->token.place;
    return config_read_name(reader, "the name of a virtual switch", &p->net);
}

static bool read_on_exit(struct config_reader *reader, struct config_personality *p)
{
    p->restart = config_token_is(&reader->token, "restart");
    if (!p->restart && !config_token_is(&reader->token, "park"))
        return config_fail(reader, &reader->token, "park or restart");
    return config_next(reader);
}

const struct config_key config_keys[CONFIG_KEY_COUNT] = {
    {.name = "image", .read = read_image, .text = true},
    {.name = "cores", .read = read_cores},
    {.name = "memory", .read = read_memory},
    {.name = "quota", .read = read_quota},
    {.name = "weight", .read = read_weight},
    {.name = "debug", .read = read_debug},
    {.name = "args", .read = read_args, .text = true},
    {.name = "module", .read = read_module, .repeatable = true},
    {.name = "msr", .read = read_msr, .repeatable = true},
    {.name = "io", .read = read_io, .repeatable = true},
    {.name = "net", .read = read_net},
    {.name = "on_exit", .read = read_on_exit},
};

uint32_t config_find_key(const struct config_token *token)
{
    uint32_t key = 0;

    while (key < CONFIG_KEY_COUNT && !config_token_is(token, config_keys[key].name))
        key++;
    return key;
}

bool config_fail_key(struct config_reader *reader, const struct config_token *found, const char *or_else)
{
    char names[128] = "";
    size_t used = 0;

    for (uint32_t i = 0; i < CONFIG_KEY_COUNT && used < sizeof(names); i++)
        used += pv_snprintf(names + used, sizeof(names) - used, "%s%s", i == 0 ? "" : ", ", config_keys[i].name);
    return config_fail(reader, found, "a key (%s)%s", names, or_else);
}

struct config_personality *config_find(struct config *config, const char *name)
{
    for (uint32_t i = 0; i < config->personality_count; i++) {
        if (strcmp(config->personalities[i].name, name) == 0)
            return &config->personalities[i];
    }
    return NULL;
}
