// SPDX-License-Identifier: Apache-2.0
// exits: why guests left, and who dealt with it.
#include "arch/x86/vmx/vmcs_bits.h"
#include "commands.h"
#include "out.h"
#include "personality.h"
#include "query.h"

enum { LAST_REASON = PV_EXIT_REASONS - 1 };

enum scope { SCOPE_ALL, SCOPE_PERSONALITY, SCOPE_VCPU };

/// Whose exits are counted.
struct subject {
    enum scope scope;
    uint32_t personality, vcpu; ///< as far as the scope says
    char name[PV_NAME_SIZE];    ///< of the personality
    size_t vcpus;               ///< how many were counted
};

static bool belongs(const struct subject *subject, const struct pv_vcpu_info *vcpu)
{
    return (subject->scope == SCOPE_ALL || vcpu->personality == subject->personality) &&
           (subject->scope != SCOPE_VCPU || vcpu->vcpu == subject->vcpu);
}

/// Adds up the exits of a subject.
static void count_exits(struct subject *subject, struct pv_exit_counts *sum)
{
    const struct pv_vcpu_info *list;
    size_t left_out;
    const size_t count = query_vcpus(&list, &left_out);
    *sum = (struct pv_exit_counts){0};
    for (size_t i = 0; i < count; i++) {
        struct pv_exit_counts counts;
        if (!belongs(subject, &list[i]) || query_exits(&list[i], &counts) != PV_OK)
            continue; // the vcpu may have ended a moment ago
        subject->vcpus++;
        for (size_t reason = 0; reason < PV_EXIT_REASONS; reason++) {
            sum->absorbed[reason] += counts.absorbed[reason];
            sum->delivered[reason] += counts.delivered[reason];
        }
    }
}

static uint64_t total(const uint64_t counts[PV_EXIT_REASONS])
{
    uint64_t sum = 0;
    for (size_t i = 0; i < PV_EXIT_REASONS; i++)
        sum += counts[i];
    return sum;
}

static const char *reason_name(uint32_t reason)
{
    const char *name = vmx_exit_reason_name(reason);
    return reason == LAST_REASON ? "this and all higher ones" : name != NULL ? name : "unknown";
}

static void print_exits(const struct subject *subject, const struct pv_exit_counts *counts)
{
    out("reason                                            absorbed    delivered\n");
    for (uint32_t i = 0; i < PV_EXIT_REASONS; i++)
        if (counts->absorbed[i] + counts->delivered[i] > 0)
            out("%3u %-43s %10lu %12lu\n", i, reason_name(i), counts->absorbed[i], counts->delivered[i]);
    out("    %-43s %10lu %12lu\n", "all", total(counts->absorbed), total(counts->delivered));
    if (subject->scope != SCOPE_VCPU)
        out("of %zu vcpu%s\n", subject->vcpus, subject->vcpus == 1 ? "" : "s");
}

static void json_exits(const struct subject *subject, const struct pv_exit_counts *counts)
{
    struct json json;
    call_json_begin(&json);
    if (subject->scope != SCOPE_ALL)
        json_string(&json, "personality", subject->name);
    if (subject->scope == SCOPE_VCPU)
        json_number(&json, "vcpu", subject->vcpu);
    json_number(&json, "vcpus", subject->vcpus);
    json_number(&json, "absorbed", total(counts->absorbed));
    json_number(&json, "delivered", total(counts->delivered));
    json_open(&json, "exits", '[');
    for (uint32_t i = 0; i < PV_EXIT_REASONS; i++) {
        if (counts->absorbed[i] + counts->delivered[i] == 0)
            continue;
        json_open(&json, NULL, '{');
        json_number(&json, "reason", i);
        json_string(&json, "name", reason_name(i));
        json_number(&json, "absorbed", counts->absorbed[i]);
        json_number(&json, "delivered", counts->delivered[i]);
        json_close(&json, '}');
    }
    json_close(&json, ']');
    call_json_end(&json);
}

/// Finds out whom the argument names; says what is wrong with it otherwise.
static bool find_subject(const struct call *call, struct subject *subject)
{
    *subject = (struct subject){.scope = SCOPE_ALL};
    if (call->count == 0)
        return true;
    if (pv_strchr(call->arguments[0], '/') == NULL) {
        const struct pv_personality_info *personality = call_personality(call, 0);
        if (personality == NULL)
            return false;
        *subject = (struct subject){.scope = SCOPE_PERSONALITY, .personality = personality->id};
        pv_strcopy(subject->name, sizeof(subject->name), personality->name);
        return true;
    }
    const struct pv_vcpu_info *vcpu = call_vcpu(call, 0);
    if (vcpu == NULL)
        return false;
    *subject = (struct subject){.scope = SCOPE_VCPU, .personality = vcpu->personality, .vcpu = vcpu->vcpu};
    pv_strcopy(subject->name, sizeof(subject->name), vcpu->name);
    return true;
}

static void run_exits(const struct call *call)
{
    struct subject subject;
    struct pv_exit_counts counts;
    if (!find_subject(call, &subject))
        return;
    count_exits(&subject, &counts);
    if (call->json)
        json_exits(&subject, &counts);
    else
        print_exits(&subject, &counts);
}

static const char *candidate_exits(size_t argument, size_t index)
{
    static size_t personalities;
    if (index == 0)
        personalities = SIZE_MAX;
    if (index < personalities) {
        const char *name = candidate_personality(argument, index);
        if (name != NULL)
            return name;
        personalities = index;
    }
    return candidate_vcpu(argument, index - personalities);
}

const struct command command_exits = {
    .name = "exits",
    .arguments = "[NAME[/VCPU]] [--json]",
    .summary = "count VM exits by reason",
    .details = "absorbed: the multiplexer dealt with them; delivered: they went to the personality. Counted are the\n"
               "vcpus that exist, of all personalities or of one, or one vcpu; ps NAME counts ended ones, too.\n",
    .most = 1,
    .json = true,
    .run = run_exits,
    .candidate = candidate_exits,
};
