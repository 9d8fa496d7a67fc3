// SPDX-License-Identifier: Apache-2.0
#include "banner.h"

#include "out.h"
#include "personality.h"
#include "query.h"
#include "text.h"

/// The set of cores in a state.
static uint64_t cores_in(const struct pv_core_info *list, size_t count, uint32_t state)
{
    uint64_t cores = 0;
    for (size_t i = 0; i < count; i++)
        if (list[i].state == state)
            cores |= UINT64_C(1) << list[i].core;
    return cores;
}

static void print_cores(const struct pv_core_info *list, size_t count)
{
    char text[TEXT_CORES_MAX];
    const uint64_t vmx = cores_in(list, count, PV_CORE_VMX);
    text_cores(text, vmx);
    out("%zu core%s, in VMX operation: %s\n", count, count == 1 ? "" : "s", text);
}

/// Says for every reason once which cores it holds for.
static void print_missing(const struct pv_core_info *list, size_t count)
{
    uint64_t told = cores_in(list, count, PV_CORE_VMX);
    for (size_t i = 0; i < count; i++) {
        if (told >> list[i].core & 1)
            continue;
        uint64_t alike = 0;
        for (size_t j = i; j < count; j++)
            if (list[j].state == list[i].state && strcmp(list[j].why, list[i].why) == 0)
                alike |= UINT64_C(1) << list[j].core;
        told |= alike;
        char text[TEXT_CORES_MAX];
        text_cores(text, alike);
        const char *what = list[i].state == PV_CORE_ABSENT ? "absent" : "no VMX";
        out("core %s: %s: %s\n", text, what, list[i].why[0] != '\0' ? list[i].why : "no reason known");
    }
}

static void print_personalities(void)
{
    const struct pv_personality_info *list;
    const size_t count = query_personalities(&list);
    out("personalities:");
    for (size_t i = 0; i < count; i++)
        out("%s %s (%s)", i > 0 ? "," : "", list[i].name, text_personality_state(list[i].state));
    out("\n");
    for (size_t i = 0; i < count; i++)
        if (list[i].state == PV_STATE_REFUSED)
            out("%s was not started: %s\n", list[i].name, list[i].why);
}

/// Prints every line of a text, indented.
static void print_indented(const char *text, size_t size)
{
    bool at_start = true;
    for (size_t i = 0; i < size; i++) {
        if (at_start)
            out("  ");
        out_sink(NULL, text + i, 1);
        at_start = text[i] == '\n';
    }
    if (!at_start)
        out("\n");
}

static void print_configuration_errors(void)
{
    const char *text;
    const size_t size = query_text(PV_DEBUG_CONFIG, 1, &text);
    if (size == 0)
        return;
    out("The configuration is wrong:\n");
    print_indented(text, size);
}

void banner_print(const struct pv_info *info)
{
    const struct pv_core_info *cores;
    const size_t count = query_cores(&cores);
    out_begin(false);
    out("\nPolyvisor %s, ABI %u\n", query_machine()->version, info->abi_version);
    print_cores(cores, count);
    print_missing(cores, count);
    print_personalities();
    print_configuration_errors();
    out("help lists the commands; top shows who uses the cores.\n");
    out_end();
}
