// SPDX-License-Identifier: Apache-2.0
// cpu: what a core's processor is, can do, and gets wrong.
#include "commands.h"
#include "msr_names.h"
#include "out.h"
#include "personality.h"
#include "processor.h"
#include "query.h"
#include "vmx_report.h"

enum topic { TOPIC_FEATURES = 1, TOPIC_VMX = 2, TOPIC_ERRATA = 4 };

/// By topic bit.
static const char *const topics[] = {"features", "vmx", "errata"};
enum { TOPICS = sizeof(topics) / sizeof(topics[0]), ALL_TOPICS = (1 << TOPICS) - 1 };

/// Asks a core for everything that struct processor holds.
static void examine(uint32_t core, struct processor *processor)
{
    memset(processor, 0, sizeof(*processor));
    // The leaves that tell which others there are come first in both ranges.
    processor->leaves[LEAF_0] = query_cpuid(core, 0, 0);
    processor->leaves[LEAF_X0] = query_cpuid(core, processor_leaf_numbers[LEAF_X0].leaf, 0);
    for (enum processor_leaf leaf = 0; leaf < PROCESSOR_LEAVES; leaf++)
        if (processor_has_leaf(processor, leaf))
            processor->leaves[leaf] =
                query_cpuid(core, processor_leaf_numbers[leaf].leaf, processor_leaf_numbers[leaf].subleaf);
    processor_decode(processor);
    if (processor_has_named(processor, "arch-capabilities"))
        query_msr(core, MSR_ARCH_CAPABILITIES, &processor->arch_capabilities);
}

/// The microcode's revision, 0 when it cannot be had.
static uint32_t microcode(uint32_t core)
{
    uint64_t value;
    return query_msr(core, MSR_BIOS_SIGN_ID, &value) == PV_OK ? (uint32_t)(value >> 32) : 0;
}

static const char *brand(const struct processor *p)
{
    const char *text = p->brand;
    while (*text == ' ')
        text++;
    return text;
}

static void print_identity(uint32_t core, const struct processor *p)
{
    out("core %u: %s\n", core, brand(p)[0] != '\0' ? brand(p) : "(no brand string)");
    out("vendor %s, family %u, model 0x%x, stepping %u, signature 0x%x, microcode 0x%x\n", p->vendor, p->family,
        p->model, p->stepping, p->leaves[LEAF_1].eax, microcode(core));
    out("addresses: %u bits physical, %u bits linear\n", p->physical_bits, p->linear_bits);
}

static void json_identity(struct json *json, uint32_t core, const struct processor *p)
{
    json_number(json, "core", core);
    json_string(json, "vendor", p->vendor);
    json_string(json, "brand", brand(p));
    json_number(json, "family", p->family);
    json_number(json, "model", p->model);
    json_number(json, "stepping", p->stepping);
    json_hex(json, "signature", p->leaves[LEAF_1].eax);
    json_hex(json, "microcode", microcode(core));
    json_number(json, "physical_bits", p->physical_bits);
    json_number(json, "linear_bits", p->linear_bits);
}

/// Prints the names of the features that are there, or are not, in rows.
static void print_feature_list(const struct processor *p, const char *title, bool there)
{
    enum { INDENT = 2 };
    unsigned column = out_settings.columns;
    out("\n%s", title);
    for (size_t i = 0; i < processor_feature_count; i++) {
        const struct processor_feature *feature = &processor_features[i];
        if (processor_has(p, feature) != there)
            continue;
        const unsigned width = (unsigned)strlen(feature->name) + 1;
        if (column + width >= out_settings.columns) {
            out("\n ");
            column = INDENT - 1;
        }
        out(" %s", feature->name);
        column += width;
    }
    out("\n");
}

static void print_features(const struct processor *p)
{
    print_feature_list(p, "features:", true);
    print_feature_list(p, "features that it lacks:", false);
    const struct pv_cpuid *crystal = &p->leaves[LEAF_15];
    if (crystal->eax != 0)
        out("\nTSC / crystal clock = %u / %u, crystal clock %u Hz (CPUID.15H; 0: not told)\n", crystal->ebx,
            crystal->eax, crystal->ecx);
}

static void json_features(struct json *json, const struct processor *p)
{
    json_open(json, "features", '{');
    for (size_t i = 0; i < processor_feature_count; i++)
        json_bool(json, processor_features[i].name, processor_has(p, &processor_features[i]));
    json_close(json, '}');
}

static void print_errata(const struct processor *p)
{
    if (!p->intel) {
        out("\nerrata and side channels: the tables here know Intel's processors only\n");
        return;
    }
    out("\nerrata and side channels that apply, by family, model and IA32_ARCH_CAPABILITIES (0x%lx):\n",
        p->arch_capabilities);
    for (size_t i = 0; i < processor_weakness_count; i++)
        if (processor_weaknesses[i].applies(p))
            out("  %s: %s\n", processor_weaknesses[i].name, processor_weaknesses[i].meaning);
    out("that do not:");
    const char *separator = " ";
    for (size_t i = 0; i < processor_weakness_count; i++) {
        if (processor_weaknesses[i].applies(p))
            continue;
        out("%s%s", separator, processor_weaknesses[i].name);
        separator = "; ";
    }
    out("\nIA32_ARCH_CAPABILITIES:");
    for (unsigned bit = 0; bit < 64; bit++)
        if (p->arch_capabilities >> bit & 1)
            out(" %s", processor_arch_capability(bit) != NULL ? processor_arch_capability(bit) : "(unknown)");
    out("%s\n", p->arch_capabilities == 0 ? " none" : "");
}

static void json_errata(struct json *json, const struct processor *p)
{
    json_hex(json, "arch_capabilities", p->arch_capabilities);
    json_open(json, "errata", '[');
    for (size_t i = 0; i < processor_weakness_count; i++) {
        json_open(json, NULL, '{');
        json_string(json, "name", processor_weaknesses[i].name);
        json_bool(json, "applies", processor_weaknesses[i].applies(p));
        json_string(json, "meaning", processor_weaknesses[i].meaning);
        json_close(json, '}');
    }
    json_close(json, ']');
}

/// Reads the arguments: a core, topics, or both. False, with a message, when one is neither.
static bool parse(const struct call *call, uint32_t *core, unsigned *wanted)
{
    *core = call->info->cores[0];
    *wanted = 0;
    for (size_t i = 0; i < call->count; i++) {
        const char *word = call->arguments[i];
        size_t topic = 0;
        while (topic < TOPICS && strcmp(word, topics[topic]) != 0)
            topic++;
        if (topic < TOPICS) {
            *wanted |= 1u << topic;
        } else if (word[0] < '0' || word[0] > '9') {
            call_fail(call, "'%s' is neither a core nor one of features, vmx, errata", word);
            return false;
        } else if (!call_core(call, i, core)) {
            return false;
        }
    }
    if (*wanted == 0)
        *wanted = ALL_TOPICS;
    return true;
}

static void run_cpu(const struct call *call)
{
    static struct processor processor;
    uint32_t core;
    unsigned wanted;
    if (!parse(call, &core, &wanted))
        return;
    examine(core, &processor);
    const bool vmx = processor_has_named(&processor, "vmx");
    if (!call->json) {
        print_identity(core, &processor);
        if (wanted & TOPIC_FEATURES)
            print_features(&processor);
        if (wanted & TOPIC_VMX)
            vmx_report_print(core, vmx);
        if (wanted & TOPIC_ERRATA)
            print_errata(&processor);
        return;
    }
    struct json json;
    call_json_begin(&json);
    json_identity(&json, core, &processor);
    if (wanted & TOPIC_FEATURES)
        json_features(&json, &processor);
    if (wanted & TOPIC_VMX)
        vmx_report_json(&json, core, vmx);
    if (wanted & TOPIC_ERRATA)
        json_errata(&json, &processor);
    call_json_end(&json);
}

static const char *candidate_cpu(size_t argument, size_t index)
{
    (void)argument;
    return index < TOPICS ? topics[index] : NULL;
}

const struct command command_cpu = {
    .name = "cpu",
    .arguments = "[CORE] [features] [vmx] [errata] [--json]",
    .summary = "show a processor's features, VMX capabilities and errata",
    .details =
        "Without CORE, the one that the shell runs on; without a topic, all three. For VMX controls, yes: can be set;\n"
        "always: cannot be cleared; no: cannot be set.\n",
    .most = 1 + TOPICS,
    .json = true,
    .run = run_cpu,
    .candidate = candidate_cpu,
};
