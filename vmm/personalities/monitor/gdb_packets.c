// SPDX-License-Identifier: Apache-2.0
#include "gdb_packets.h"

#include <polyvisor/string.h>

enum { INTERRUPT = 0x03 };

static const char digits[] = "0123456789abcdef";

void gdb_put_char(struct gdb *gdb, char c)
{
    if (gdb->out_size < sizeof(gdb->out))
        gdb->out[gdb->out_size++] = c;
}

void gdb_put_text(struct gdb *gdb, const char *text)
{
    while (*text != '\0')
        gdb_put_char(gdb, *text++);
}

void gdb_put_number(struct gdb *gdb, uint64_t number)
{
    unsigned shift = 60;
    while (shift > 0 && number >> shift == 0)
        shift -= 4;
    for (;; shift -= 4) {
        gdb_put_char(gdb, digits[number >> shift & 15]);
        if (shift == 0)
            return;
    }
}

void gdb_put_bytes(struct gdb *gdb, const void *bytes, size_t size)
{
    const uint8_t *from = bytes;
    for (size_t i = 0; i < size; i++) {
        gdb_put_char(gdb, digits[from[i] >> 4]);
        gdb_put_char(gdb, digits[from[i] & 15]);
    }
}

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool gdb_take_number(const char **text, uint64_t *number)
{
    const char *at = *text;
    *number = 0;
    for (; digit(*at) >= 0; at++) {
        if (*number >> 60 != 0)
            return false;
        *number = *number << 4 | (uint64_t)digit(*at);
    }
    const bool any = at != *text;
    *text = at;
    return any;
}

bool gdb_take_char(const char **text, char c)
{
    if (**text != c)
        return false;
    ++*text;
    return true;
}

bool gdb_take_word(const char **text, const char *word)
{
    const size_t size = strlen(word);
    if (strncmp(*text, word, size) != 0)
        return false;
    *text += size;
    return true;
}

bool gdb_take_bytes(const char **text, void *bytes, size_t size)
{
    uint8_t *to = bytes;
    for (size_t i = 0; i < size; i++, *text += 2) {
        const int high = digit((*text)[0]), low = high < 0 ? -1 : digit((*text)[1]);
        if (low < 0)
            return false;
        to[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

/* ---- packets ---- */

static void send_last(struct gdb *gdb)
{
    gdb->target.send(gdb->target.context, gdb->last, gdb->last_size);
}

void gdb_send(struct gdb *gdb)
{
    uint8_t sum = 0;
    for (size_t i = 0; i < gdb->out_size; i++)
        sum = (uint8_t)(sum + (uint8_t)gdb->out[i]);
    gdb->last[0] = '$';
    memcpy(gdb->last + 1, gdb->out, gdb->out_size);
    gdb->last[gdb->out_size + 1] = '#';
    gdb->last[gdb->out_size + 2] = digits[sum >> 4];
    gdb->last[gdb->out_size + 3] = digits[sum & 15];
    gdb->last_size = gdb->out_size + 4;
    gdb->out_size = 0;
    send_last(gdb);
}

static void acknowledge(struct gdb *gdb, bool right)
{
    if (!gdb->no_ack)
        gdb->target.send(gdb->target.context, right ? "+" : "-", 1);
}

static void end_packet(struct gdb *gdb, int low)
{
    gdb->phase = GDB_IDLE;
    const bool right = low >= 0 && gdb->sum == (uint8_t)(gdb->sum_told << 4 | low) && !gdb->too_long;
    acknowledge(gdb, right);
    if (!right)
        return;
    gdb->in[gdb->in_size] = '\0';
    gdb->out_size = 0;
    gdb->connected = true;
    gdb_command(gdb, gdb->in);
}

static void begin_packet(struct gdb *gdb)
{
    gdb->phase = GDB_PACKET_BODY;
    gdb->in_size = 0;
    gdb->sum = 0;
    gdb->too_long = false;
}

static void outside(struct gdb *gdb, char byte)
{
    if (byte == INTERRUPT)
        gdb_interrupt(gdb);
    else if (byte == '-' && gdb->last_size > 0 && !gdb->no_ack)
        send_last(gdb);
}

static void receive(struct gdb *gdb, char byte)
{
    if (byte == '$') { // nowhere else: it begins anew what was lost
        begin_packet(gdb);
        return;
    }
    switch (gdb->phase) {
    case GDB_IDLE:
        outside(gdb, byte);
        break;
    case GDB_PACKET_BODY:
        if (byte == '#') {
            gdb->phase = GDB_CHECKSUM_1;
            break;
        }
        gdb->sum = (uint8_t)(gdb->sum + (uint8_t)byte);
        if (gdb->in_size < GDB_PACKET)
            gdb->in[gdb->in_size++] = byte;
        else
            gdb->too_long = true;
        break;
    case GDB_CHECKSUM_1:
        gdb->sum_told = (uint8_t)digit(byte);
        gdb->phase = digit(byte) < 0 ? GDB_IDLE : GDB_CHECKSUM_2;
        if (digit(byte) < 0)
            acknowledge(gdb, false);
        break;
    case GDB_CHECKSUM_2:
        end_packet(gdb, digit(byte));
        break;
    }
}

void gdb_receive(struct gdb *gdb, const char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        receive(gdb, bytes[i]);
}
