// SPDX-License-Identifier: Apache-2.0
// peek: physical memory, as hexadecimal numbers and characters.
#include "commands.h"
#include "out.h"
#include "personality.h"

enum { ROW = 16, BYTES_DEFAULT = 64, BYTES_MAX = 4096 };
#define ADDRESS_MAX ((UINT64_C(1) << 52) - 1) // MAXPHYADDR is at most 52 (SDM Vol. 3A 4.1.4)

static void print_row(uint64_t address, const uint8_t *bytes, size_t count)
{
    out("%#014lx ", address);
    for (size_t i = 0; i < ROW; i++) {
        if (i % 8 == 0)
            out(" ");
        if (i < count)
            out("%02x ", bytes[i]);
        else
            out("   ");
    }
    out(" ");
    for (size_t i = 0; i < count; i++)
        out("%c", bytes[i] >= ' ' && bytes[i] <= '~' ? bytes[i] : '.');
    out("\n");
}

static void json_bytes(uint64_t address, const uint8_t *bytes, size_t count)
{
    struct json json;
    call_json_begin(&json);
    json_hex(&json, "address", address);
    json_number(&json, "bytes", count);
    json_begin_text(&json, "hex");
    for (size_t i = 0; i < count; i++) {
        char text[3];
        json_text(&json, text, pv_snprintf(text, sizeof(text), "%02x", bytes[i]));
    }
    json_end_text(&json);
    call_json_end(&json);
}

static void run_peek(const struct call *call)
{
    static uint8_t bytes[BYTES_MAX];
    uint64_t address, count = BYTES_DEFAULT;
    if (!call_number(call, 0, "address", ADDRESS_MAX, &address))
        return;
    if (call->count > 1 && !call_number(call, 1, "number of bytes", BYTES_MAX, &count))
        return;
    const int64_t result = pv_debug(PV_DEBUG_PEEK, address, 0, bytes, count);
    if (result == PV_ERR_NOT_FOUND) {
        call_fail(call, "there is no RAM at 0x%lx to 0x%lx", address, address + count - (count > 0));
        return;
    }
    if (result < 0) {
        call_fail_error(call, call->arguments[0], result);
        return;
    }
    if (call->json) {
        json_bytes(address, bytes, count);
        return;
    }
    for (size_t done = 0; done < count && !out_stopped(); done += ROW)
        print_row(address + done, bytes + done, count - done < ROW ? count - done : ROW);
}

const struct command command_peek = {
    .name = "peek",
    .arguments = "ADDRESS [BYTES] [--json]",
    .summary = "show physical memory",
    .details = "ADDRESS is physical. BYTES: 64 unless given, at most 4096. Only RAM is read, never a device.\n",
    .least = 1,
    .most = 2,
    .json = true,
    .run = run_peek,
};
