// SPDX-License-Identifier: Apache-2.0
// devices: what a personality says of the devices that it models.
#include "commands.h"
#include "out.h"
#include "personality.h"
#include "query.h"

static void print_devices(const struct pv_device *list, size_t count)
{
    out("device           place                       reads     writes interrupts   bytes in  bytes out\n");
    for (size_t i = 0; i < count; i++) {
        const struct pv_device *d = &list[i];
        out("%-16s %-22s %10lu %10lu %10lu %10lu %10lu\n", d->name, d->place, d->reads, d->writes, d->interrupts,
            d->bytes_in, d->bytes_out);
    }
}

static void json_devices(const char *name, const struct pv_device *list, size_t count)
{
    struct json json;
    call_json_begin(&json);
    json_string(&json, "personality", name);
    json_open(&json, "devices", '[');
    for (size_t i = 0; i < count; i++) {
        const struct pv_device *d = &list[i];
        json_open(&json, NULL, '{');
        json_string(&json, "device", d->name);
        json_string(&json, "place", d->place);
        json_number(&json, "reads", d->reads);
        json_number(&json, "writes", d->writes);
        json_number(&json, "interrupts", d->interrupts);
        json_number(&json, "bytes_in", d->bytes_in);
        json_number(&json, "bytes_out", d->bytes_out);
        json_close(&json, '}');
    }
    json_close(&json, ']');
    call_json_end(&json);
}

static void run_devices(const struct call *call)
{
    const struct pv_personality_info *personality = call_personality(call, 0);
    if (personality == NULL)
        return;
    const struct pv_device *list;
    const size_t count = query_devices(personality->id, &list);
    if (call->json)
        json_devices(call->arguments[0], list, count);
    else if (count == 0)
        out("%s lists no devices\n", call->arguments[0]);
    else
        print_devices(list, count);
}

const struct command command_devices = {
    .name = "devices",
    .arguments = "NAME [--json]",
    .summary = "list the devices that a personality models for its guest",
    .details =
        "The personality itself says what there is, and counts. reads, writes: of registers, as far as they reached\n"
        "it; bytes: into the guest and out of it.\n",
    .least = 1,
    .most = 1,
    .json = true,
    .run = run_devices,
    .candidate = candidate_personality,
};
