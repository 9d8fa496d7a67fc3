// SPDX-License-Identifier: Apache-2.0
// vmcs: the fields of a vcpu's VMCS, and what they mean.
#include "commands.h"
#include "out.h"
#include "personality.h"
#include "vmcs_snapshot.h"
#include "vmcs_words.h"

enum { KINDS = VMCS_KIND_HOST + 1, SEGMENTS = 10, NAME_WIDTH = 30 };

static struct vmcs_snapshot snapshot;
static struct vmcs_words words;

/// The order in which people look for things.
static const enum vmcs_kind kinds[KINDS] = {VMCS_KIND_GUEST, VMCS_KIND_EXIT_INFORMATION, VMCS_KIND_CONTROL,
                                            VMCS_KIND_HOST};

static int hex_digits(uint32_t field)
{
    return (int)vmcs_field_bits(field) / 4;
}

/* ---- segments: a row each ---- */

struct segment {
    const char *name;
    uint32_t selector, base, limit, access; ///< fields; 0: has none
};

static const struct segment segments[SEGMENTS] = {
#define SEGMENT(name, N)                                                                                               \
    {name, VMCS_GUEST_##N##_SELECTOR, VMCS_GUEST_##N##_BASE, VMCS_GUEST_##N##_LIMIT, VMCS_GUEST_##N##_ACCESS_RIGHTS}
    SEGMENT("es", ES),
    SEGMENT("cs", CS),
    SEGMENT("ss", SS),
    SEGMENT("ds", DS),
    SEGMENT("fs", FS),
    SEGMENT("gs", GS),
    SEGMENT("ldtr", LDTR),
    SEGMENT("tr", TR),
#undef SEGMENT
    {"gdtr", 0, VMCS_GUEST_GDTR_BASE, VMCS_GUEST_GDTR_LIMIT, 0},
    {"idtr", 0, VMCS_GUEST_IDTR_BASE, VMCS_GUEST_IDTR_LIMIT, 0},
};

static bool is_segment(uint32_t field)
{
    for (size_t i = 0; i < SEGMENTS; i++) {
        const struct segment *s = &segments[i];
        if (field == s->base || field == s->limit || (s->selector != 0 && (field == s->selector || field == s->access)))
            return true;
    }
    return false;
}

/// Prints what was decoded, with commas between.
static void print_words(void)
{
    for (size_t i = 0; i < words.count; i++)
        out("%s%s", i > 0 ? ", " : "", words.word[i]);
}

static void print_segments(void)
{
    out("\n  guest  selector base             limit    access rights\n");
    for (size_t i = 0; i < SEGMENTS; i++) {
        const struct segment *s = &segments[i];
        out("  %-6s ", s->name);
        if (s->selector != 0)
            out("%04lx    ", vmcs_snapshot_value(&snapshot, s->selector));
        else
            out("%8s", "");
        out(" %016lx %08lx", vmcs_snapshot_value(&snapshot, s->base), vmcs_snapshot_value(&snapshot, s->limit));
        if (s->selector != 0) {
            const uint64_t access = vmcs_snapshot_value(&snapshot, s->access);
            vmcs_words_decode(&words, s->access, access, 0);
            out(" %05lx ", access);
            print_words();
        }
        out("\n");
    }
}

/* ---- one field a line ---- */

/// Prints what was decoded: behind the value when it fits there, else in lines of its own.
static void print_words_in_rows(unsigned column)
{
    enum { INDENT = 6 };
    unsigned width = 0;
    for (size_t i = 0; i < words.count; i++)
        width += (unsigned)strlen(words.word[i]) + 2;
    const bool fits = column + width <= out_settings.columns;
    for (size_t i = 0; i < words.count; i++) {
        const bool last = i + 1 == words.count;
        const unsigned size = (unsigned)strlen(words.word[i]) + !last;
        if (!fits && (i == 0 || column + 1 + size > out_settings.columns)) {
            out("\n%*s", INDENT - 1, "");
            column = INDENT - 1;
        }
        out(" %s%s", words.word[i], last ? "" : ",");
        column += 1 + size;
    }
    out("\n");
}

static void print_field(const struct vmcs_field_info *field, uint64_t value)
{
    enum { INDENT = 2, GAP_AND_PREFIX = 3 };
    const int digits = hex_digits(field->encoding);
    vmcs_words_decode(&words, field->encoding, value, snapshot.exit_reason);
    out("  %-*s 0x%0*lx", NAME_WIDTH, field->name, digits, value);
    print_words_in_rows(INDENT + NAME_WIDTH + GAP_AND_PREFIX + (unsigned)digits);
}

static void print_kind(enum vmcs_kind kind)
{
    size_t count;
    const struct vmcs_field_info *fields = vmcs_fields(&count);
    out("\n%s fields\n", vmcs_kind_name(kind));
    for (size_t i = 0; i < count; i++)
        if (snapshot.there[i] && vmcs_field_kind(fields[i].encoding) == kind && !is_segment(fields[i].encoding))
            print_field(&fields[i], snapshot.value[i]);
    if (kind == VMCS_KIND_GUEST)
        print_segments();
}

static void print_all(const struct vmcs_selection *selection)
{
    const struct pv_vcpu_info *v = &snapshot.vcpu;
    out("%s/%u: core %u, space %u, VPID %u, %s\n", v->name, v->vcpu, v->core, v->space, v->vpid,
        v->running ? "in vcpu_run" : "not in vcpu_run");
    for (size_t i = 0; i < KINDS; i++)
        if (!selection->of_kind || selection->kind == kinds[i])
            print_kind(kinds[i]);
    if (snapshot.lacking > 0)
        out("\n%zu field%s that this processor does not have left out\n", snapshot.lacking,
            snapshot.lacking == 1 ? "" : "s");
}

/* ---- one field alone ---- */

static void print_one(const struct vmcs_field_info *field)
{
    const uint32_t encoding = field->encoding;
    const uint64_t value = vmcs_snapshot_value(&snapshot, encoding);
    out("%s = 0x%0*lx\n", field->name, hex_digits(encoding), value);
    out("  %s %s field, encoding %#x\n", vmcs_width_name(vmcs_field_width(encoding)),
        vmcs_kind_name(vmcs_field_kind(encoding)), encoding);
    if (!vmcs_has_flags(encoding)) {
        vmcs_words_decode(&words, encoding, value, snapshot.exit_reason);
        for (size_t i = 0; i < words.count; i++)
            out("  %s\n", words.word[i]);
        return;
    }
    for (unsigned bit = 0; bit < vmcs_field_bits(encoding); bit++) {
        const char *name = vmcs_flag_name(encoding, bit);
        const bool set = value >> bit & 1;
        if (set || name != NULL)
            out("  %2u  %-3s %s\n", bit, set ? "yes" : "no", name != NULL ? name : "(no name here)");
    }
}

/* ---- JSON ---- */

static void json_field(struct json *json, const struct vmcs_field_info *field, uint64_t value)
{
    vmcs_words_decode(&words, field->encoding, value, snapshot.exit_reason);
    json_open(json, field->name, '{');
    json_hex(json, "value", value);
    json_hex(json, "encoding", field->encoding);
    json_string(json, "kind", vmcs_kind_name(vmcs_field_kind(field->encoding)));
    json_open(json, "means", '[');
    for (size_t i = 0; i < words.count; i++)
        json_string(json, NULL, words.word[i]);
    json_close(json, ']');
    json_close(json, '}');
}

static void json_all(void)
{
    struct json json;
    size_t count;
    const struct vmcs_field_info *fields = vmcs_fields(&count);
    call_json_begin(&json);
    json_string(&json, "personality", snapshot.vcpu.name);
    json_number(&json, "vcpu", snapshot.vcpu.vcpu);
    json_number(&json, "core", snapshot.vcpu.core);
    json_bool(&json, "running", snapshot.vcpu.running);
    json_number(&json, "lacking", snapshot.lacking);
    json_open(&json, "fields", '{');
    for (size_t i = 0; i < count; i++)
        if (snapshot.there[i])
            json_field(&json, &fields[i], snapshot.value[i]);
    json_close(&json, '}');
    call_json_end(&json);
}

/* ---- the command ---- */

/// Reads an argument as a kind of fields, or one field by name or encoding; says what is wrong with it otherwise.
static bool take_selection(const struct call *call, size_t argument, struct vmcs_selection *selection)
{
    const char *text = call->arguments[argument];
    for (size_t i = 0; i < KINDS; i++) {
        if (strcmp(text, vmcs_kind_name(kinds[i])) != 0)
            continue;
        *selection = (struct vmcs_selection){.of_kind = true, .kind = kinds[i]};
        return true;
    }
    uint64_t number;
    const struct vmcs_field_info *field = vmcs_field_by_name(text);
    if (field == NULL && pv_parse_number(text, &number) && number <= UINT32_MAX)
        field = vmcs_field_by_encoding((uint32_t)number);
    if (field == NULL) {
        call_fail(call, "there is no field '%s'; Tab lists them", text);
        return false;
    }
    *selection = (struct vmcs_selection){.one = true, .field = field->encoding};
    return true;
}

static void run_vmcs(const struct call *call)
{
    struct vmcs_selection selection = {0};
    const struct pv_vcpu_info *vcpu = call_vcpu(call, 0);
    if (vcpu == NULL || (call->count > 1 && !take_selection(call, 1, &selection)))
        return;
    const int64_t result = vmcs_snapshot_take(&snapshot, vcpu, &selection);
    if (result == PV_ERR_NOT_FOUND)
        call_fail(call, "%s has ended", call->arguments[0]);
    else if (result < 0)
        call_fail_error(call, call->arguments[0], result);
    else if (selection.one && snapshot.lacking > 0)
        call_fail(call, "this processor has no field %s", vmcs_field_by_encoding(selection.field)->name);
    else if (call->json)
        json_all();
    else if (selection.one)
        print_one(vmcs_field_by_encoding(selection.field));
    else
        print_all(&selection);
}

static const char *candidate_vmcs(size_t argument, size_t index)
{
    if (argument == 0)
        return candidate_vcpu(0, index);
    if (argument > 1)
        return NULL;
    if (index < KINDS)
        return vmcs_kind_name(kinds[index]);
    size_t count;
    const struct vmcs_field_info *fields = vmcs_fields(&count);
    return index - KINDS < count ? fields[index - KINDS].name : NULL;
}

const struct command command_vmcs = {
    .name = "vmcs",
    .arguments = "ID [FIELD|KIND] [--json]",
    .summary = "show the VMCS of a vcpu, decoded",
    .details =
        "ID is NAME/NUMBER, such as tiny/0. FIELD is a name, or an encoding as in SDM Vol. 3D appendix B; KIND is\n"
        "guest-state, exit-information, control or host-state. Tab completes all of them.\n"
        "The fields of a vcpu that runs are read one after another while it does; pause its personality first for\n"
        "a picture of one moment.\n",
    .least = 1,
    .most = 2,
    .json = true,
    .run = run_vmcs,
    .candidate = candidate_vmcs,
};
