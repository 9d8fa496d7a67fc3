// SPDX-License-Identifier: Apache-2.0
/// What key the bytes of a terminal mean.
#ifndef POLYVISOR_MONITOR_LINE_KEYS_H
#define POLYVISOR_MONITOR_LINE_KEYS_H

struct line_editor;

enum line_key {
    KEY_PENDING, ///< in the middle of an escape sequence
    KEY_NONE,    ///< a key that does nothing here
    KEY_CHARACTER,
    KEY_ENTER,
    KEY_DROP,          ///< Ctrl-C
    KEY_DELETE_OR_END, ///< Ctrl-D
    KEY_LEFT,
    KEY_RIGHT,
    KEY_UP,
    KEY_DOWN,
    KEY_HOME,
    KEY_END,
    KEY_WORD_LEFT,
    KEY_WORD_RIGHT,
    KEY_BACKSPACE,
    KEY_DELETE,
    KEY_CUT_END,
    KEY_CUT_BEGIN,
    KEY_CUT_WORD,
    KEY_TAB,
    KEY_CLEAR,
};

/// Takes the next byte; the state of a sequence is kept in the editor.
enum line_key line_decode(struct line_editor *line, unsigned char byte);

#endif
