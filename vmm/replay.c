// SPDX-License-Identifier: Apache-2.0
#include "vmm/replay.h"

#include <stdbool.h>

#include <polyvisor/string.h>

enum { ENQUIRY = 0x05, BELL = 0x07, CANCEL = 0x18, SUBSTITUTE = 0x1a, ESCAPE = 0x1b };

static size_t take(struct replay *r, char *out)
{
    const size_t size = r->used;
    memcpy(out, r->held, size);
    r->used = 0;
    r->last = '\0';
    return size;
}

size_t replay_end(struct replay *replay, char *out)
{
    return replay->state == REPLAY_STRING ? 0 : take(replay, out);
}

/// A sequence that is too long loses its beginning, and so never passes.
static void hold(struct replay *r, char c)
{
    if (r->used < REPLAY_HELD)
        r->held[r->used++] = c;
}

static size_t finish(struct replay *r, bool passes, char *out)
{
    const bool whole = r->used < REPLAY_HELD;
    r->state = REPLAY_TEXT;
    if (passes && whole)
        return take(r, out);
    r->used = 0;
    return 0;
}

/// CSI parameters intermediates final: of those without intermediates some, with a private mark only modes and erasing.
static bool draws(const struct replay *r, char last)
{
    const char mark = r->held[2];
    for (size_t i = 2; i < r->used; i++)
        if (r->held[i] < '0')
            return false;
    if (mark == '?')
        return pv_strchr("hlJK", last) != NULL;
    return (mark < '<' || mark > '?') && pv_strchr("@ABCDEFGHIJKLMPSTXZ`abdefghlmrsu", last) != NULL;
}

static size_t take_control(struct replay *r, char c, char *out)
{
    hold(r, c);
    return c >= '@' ? finish(r, draws(r, c), out) : 0;
}

static size_t take_escape(struct replay *r, char c, char *out)
{
    hold(r, c);
    if (c < '0')
        return 0; // an intermediate byte
    if (r->used == 2 && c == '[') {
        r->state = REPLAY_CONTROL;
        return 0;
    }
    if (r->used == 2 && pv_strchr("P]X^_", c) != NULL) { // DCS, OSC, SOS, PM, APC
        r->state = REPLAY_STRING;
        r->used = 0;
        return 0;
    }
    return finish(r, r->used > 2 || (c != 'Z' && c != '\\'), out); // DECID; the end of a string
}

/// What the bytes of 0x80 to 0x9f are behind one that begins or continues a character in UTF-8: a part of it. Else they are controls.
static bool is_control(char c, char last)
{
    const unsigned char byte = (unsigned char)c, before = (unsigned char)last;
    return byte >= 0x80 && byte < 0xa0 && (before < 0x80 || before == 0xc2);
}

size_t replay_byte(struct replay *r, char c, char *out)
{
    if (c == ESCAPE) {
        r->state = REPLAY_ESCAPE;
        r->used = 0;
        hold(r, c);
        return 0;
    }
    const bool control = (unsigned char)c < ' ' || c == 0x7f;
    if (r->state != REPLAY_TEXT && control) { // ends a string, and what a terminal would still take for a sequence
        const bool ends = c == CANCEL || c == SUBSTITUTE || (c == BELL && r->state == REPLAY_STRING);
        finish(r, false, out);
        if (ends)
            return 0;
    }
    if (r->state == REPLAY_CONTROL && (unsigned char)c < 0x80)
        return take_control(r, c, out);
    if (r->state == REPLAY_ESCAPE && (unsigned char)c < 0x80)
        return take_escape(r, c, out);
    if (r->state == REPLAY_STRING)
        return 0;
    finish(r, false, out);
    if (c == ENQUIRY || is_control(c, r->last))
        return 0;
    out[0] = r->last = c;
    return 1;
}
