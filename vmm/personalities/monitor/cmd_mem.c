// SPDX-License-Identifier: Apache-2.0
// mem: what the physical memory is used for.
#include "commands.h"
#include "out.h"
#include "query.h"
#include "text.h"

enum { KINDS = PV_MEMORY_BAD + 1 };

/// Adds up the regions of each kind.
static void sum(const struct pv_memory_info *list, size_t count, uint64_t totals[KINDS])
{
    for (size_t i = 0; i < count; i++)
        if (list[i].kind < KINDS)
            totals[list[i].kind] += list[i].size;
}

static void print_regions(const struct pv_memory_info *list, size_t count, const uint64_t totals[KINDS])
{
    char size[TEXT_SIZE_MAX];
    out("first address      last address       size       kind        owner\n");
    for (size_t i = 0; i < count; i++) {
        text_size(size, list[i].size);
        out("0x%016lx 0x%016lx %-10s %-11s %s\n", list[i].base, list[i].base + (list[i].size - 1), size,
            text_memory_kind(list[i].kind), list[i].owner);
    }
    out("\n");
    for (uint32_t kind = 1; kind < KINDS; kind++) {
        if (totals[kind] == 0)
            continue;
        text_size(size, totals[kind]);
        out("%-11s %s\n", text_memory_kind(kind), size);
    }
}

static void json_regions(const struct pv_memory_info *list, size_t count, const uint64_t totals[KINDS])
{
    struct json json;
    call_json_begin(&json);
    json_open(&json, "totals", '{');
    for (uint32_t kind = 1; kind < KINDS; kind++)
        json_number(&json, text_memory_kind(kind), totals[kind]);
    json_close(&json, '}');
    json_open(&json, "regions", '[');
    for (size_t i = 0; i < count; i++) {
        json_open(&json, NULL, '{');
        json_number(&json, "base", list[i].base);
        json_number(&json, "size", list[i].size);
        json_string(&json, "kind", text_memory_kind(list[i].kind));
        json_string(&json, "owner", list[i].owner);
        json_close(&json, '}');
    }
    json_close(&json, ']');
    call_json_end(&json);
}

static void run_mem(const struct call *call)
{
    const struct pv_memory_info *list;
    const size_t count = query_memory(&list);
    uint64_t totals[KINDS] = {0};
    sum(list, count, totals);
    if (call->json)
        json_regions(list, count, totals);
    else
        print_regions(list, count, totals);
}

const struct command command_mem = {
    .name = "mem",
    .arguments = "[--json]",
    .summary = "show what the physical memory is used for",
    .details =
        "pool: a personality's memory; quota: kernel memory set aside for a personality; module: a file of the boot\n"
        "volume; firmware: reserved, ACPI and runtime memory; mmio: devices; bad: defective.\n",
    .json = true,
    .run = run_mem,
};
