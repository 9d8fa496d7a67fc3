// SPDX-License-Identifier: Apache-2.0
#include "line_keys.h"

#include <stdbool.h>

#include "line.h"

#define CTRL(letter) ((letter) - '@')

enum { ESCAPE = 0x1b, RUBOUT = 0x7f, MODIFIER_CTRL = 5, PARAMETER_MAX = 999 };

/// line_editor.escape: how much of an escape sequence has come (ECMA-48 5.4, and the DEC terminals' SS3 for the keypad mode).
enum { ESCAPE_NONE, ESCAPE_BEGUN, ESCAPE_CSI, ESCAPE_SS3 };

static enum line_key decode_plain(unsigned char byte)
{
    switch (byte) {
    case '\r':
    case '\n':
        return KEY_ENTER;
    case '\t':
        return KEY_TAB;
    case '\b':
    case RUBOUT:
        return KEY_BACKSPACE;
    case CTRL('A'):
        return KEY_HOME;
    case CTRL('B'):
        return KEY_LEFT;
    case CTRL('C'):
        return KEY_DROP;
    case CTRL('D'):
        return KEY_DELETE_OR_END;
    case CTRL('E'):
        return KEY_END;
    case CTRL('F'):
        return KEY_RIGHT;
    case CTRL('K'):
        return KEY_CUT_END;
    case CTRL('L'):
        return KEY_CLEAR;
    case CTRL('N'):
        return KEY_DOWN;
    case CTRL('P'):
        return KEY_UP;
    case CTRL('U'):
        return KEY_CUT_BEGIN;
    case CTRL('W'):
        return KEY_CUT_WORD;
    default:
        return byte >= ' ' && byte <= '~' ? KEY_CHARACTER : KEY_NONE;
    }
}

/// The letter that ends "ESC [ ..." or "ESC O ...".
static enum line_key decode_letter(unsigned char letter, bool ctrl)
{
    switch (letter) {
    case 'A':
        return KEY_UP;
    case 'B':
        return KEY_DOWN;
    case 'C':
        return ctrl ? KEY_WORD_RIGHT : KEY_RIGHT;
    case 'D':
        return ctrl ? KEY_WORD_LEFT : KEY_LEFT;
    case 'H':
        return KEY_HOME;
    case 'F':
        return KEY_END;
    default:
        return KEY_NONE;
    }
}

/// The number in "ESC [ number ~".
static enum line_key decode_number(unsigned number)
{
    switch (number) {
    case 1:
    case 7:
        return KEY_HOME;
    case 4:
    case 8:
        return KEY_END;
    case 3:
        return KEY_DELETE;
    default:
        return KEY_NONE;
    }
}

static enum line_key decode_csi(struct line_editor *line, unsigned char byte)
{
    if (byte >= '0' && byte <= '9') {
        if (line->parameter < PARAMETER_MAX)
            line->parameter = line->parameter * 10 + (unsigned)(byte - '0');
        return KEY_PENDING;
    }
    if (byte == ';') {
        // Of "first;second" the second is the modifier, the first matters only before '~'.
        line->modifier = line->parameter;
        line->parameter = 0;
        return KEY_PENDING;
    }
    if (byte >= ' ' && byte < '@') // other parameter and intermediate bytes
        return KEY_PENDING;
    line->escape = ESCAPE_NONE;
    if (byte < ' ') // no sequence after all
        return decode_plain(byte);
    if (byte == '~')
        return decode_number(line->modifier != 0 ? line->modifier : line->parameter);
    return decode_letter(byte, line->parameter == MODIFIER_CTRL);
}

static enum line_key decode_begun(struct line_editor *line, unsigned char byte)
{
    line->parameter = line->modifier = 0;
    line->escape = byte == '[' ? ESCAPE_CSI : byte == 'O' ? ESCAPE_SS3 : byte == ESCAPE ? ESCAPE_BEGUN : ESCAPE_NONE;
    if (line->escape != ESCAPE_NONE)
        return KEY_PENDING;
    switch (byte) {
    case 'b':
        return KEY_WORD_LEFT;
    case 'f':
        return KEY_WORD_RIGHT;
    case '\b':
    case RUBOUT:
        return KEY_CUT_WORD;
    case '\r':
    case '\n':
        return KEY_ENTER;
    default:
        return KEY_NONE;
    }
}

enum line_key line_decode(struct line_editor *line, unsigned char byte)
{
    switch (line->escape) {
    case ESCAPE_BEGUN:
        return decode_begun(line, byte);
    case ESCAPE_CSI:
        return decode_csi(line, byte);
    case ESCAPE_SS3:
        line->escape = ESCAPE_NONE;
        return decode_letter(byte, false);
    default:
        if (byte != ESCAPE)
            return decode_plain(byte);
        line->escape = ESCAPE_BEGUN;
        return KEY_PENDING;
    }
}
