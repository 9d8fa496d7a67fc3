// SPDX-License-Identifier: Apache-2.0
// net: virtual switches and who is on them.
#include "commands.h"
#include "out.h"
#include "personality.h"
#include "query.h"

enum { ADDRESS_TEXT = 18 };

static const char *address_text(char text[ADDRESS_TEXT], const uint8_t *address)
{
    pv_snprintf(text, ADDRESS_TEXT, "%02x:%02x:%02x:%02x:%02x:%02x", address[0], address[1], address[2], address[3],
                address[4], address[5]);
    return text;
}

static void print_port(const struct pv_net_info *n)
{
    char address[ADDRESS_TEXT];
    out("%-12s %-12s %s %-4s %8lu %8lu %8lu %8lu %8lu %8lu\n", n->net, n->name, address_text(address, n->address),
        n->up ? "up" : "down", n->counters.sent, n->counters.received, n->waiting, n->counters.dropped,
        n->counters.unknown, n->counters.forged);
}

static void json_port(struct json *json, const struct pv_net_info *n)
{
    char address[ADDRESS_TEXT];
    json_open(json, NULL, '{');
    json_string(json, "switch", n->net);
    json_string(json, "personality", n->name);
    json_string(json, "address", address_text(address, n->address));
    json_bool(json, "up", n->up);
    json_number(json, "sent", n->counters.sent);
    json_number(json, "bytes_sent", n->counters.bytes_sent);
    json_number(json, "received", n->counters.received);
    json_number(json, "bytes_received", n->counters.bytes_received);
    json_number(json, "waiting", n->waiting);
    json_number(json, "dropped", n->counters.dropped);
    json_number(json, "unknown", n->counters.unknown);
    json_number(json, "forged", n->counters.forged);
    json_close(json, '}');
}

static void run_net(const struct call *call)
{
    const struct pv_net_info *ports;
    struct json json;
    const size_t count = query_net(&ports);
    if (!call->json) {
        if (count == 0)
            out("no personality is on a virtual switch: the configuration has no 'net'\n");
        else
            out("switch       personality  address           link     sent received  waiting  dropped  unknown   "
                "forged\n");
        for (size_t i = 0; i < count; i++)
            print_port(&ports[i]);
        return;
    }
    call_json_begin(&json);
    json_open(&json, "ports", '[');
    for (size_t i = 0; i < count; i++)
        json_port(&json, &ports[i]);
    json_close(&json, ']');
    call_json_end(&json);
}

const struct command command_net = {
    .name = "net",
    .arguments = "[--json]",
    .summary = "list the ports of virtual switches",
    .details = "sent, received: frames. waiting: bytes that the owner has not taken yet. dropped: frames that came and "
               "found no\n"
               "room, or nobody. unknown: frames that were sent to an address that nobody else has.\n"
               "forged: frames that were refused because their source address was not the sender's own.\n",
    .json = true,
    .run = run_net,
};
