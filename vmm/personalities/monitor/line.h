// SPDX-License-Identifier: Apache-2.0
/*
 * The line editor. Pure: bytes from the keyboard go in, text for the terminal comes out through a sink, and a callback knows
 * what a word could be completed to. A line that does not fit the terminal scrolls sideways.
 *
 * Keys: arrows, Home, End, Delete, Backspace, Tab, Enter; Ctrl-A E B F (begin, end, back, forward), Ctrl-K U W (cut to the end,
 * to the beginning, a word), Ctrl-P N (history), Ctrl-L (clear the screen), Ctrl-C (drop the line), Ctrl-D (delete; on an empty
 * line: end of input), Alt-B F or Ctrl-arrows (by words).
 */
#ifndef POLYVISOR_MONITOR_LINE_H
#define POLYVISOR_MONITOR_LINE_H

#include <stdbool.h>
#include <stddef.h>

#include <polyvisor/format.h>

enum {
    LINE_SIZE = 512,   ///< characters of a line, with the NUL
    LINE_HISTORY = 64, ///< lines that are remembered
};

enum line_result {
    LINE_EDITING, ///< more keys are needed
    LINE_READY,   ///< Enter: the line stands in text
    LINE_DROPPED, ///< Ctrl-C: begin a new line
    LINE_END,     ///< Ctrl-D on an empty line
};

/// What a word could become: candidate number `index` (from 0) for a word that `before` (`size` characters) precedes on the line,
/// or NULL when there are no more. Candidates that do not begin like the word are left out by the editor.
typedef const char *line_completer(void *context, const char *before, size_t size, size_t index);

struct line_editor {
    const char *prompt;
    size_t columns; ///< of the terminal
    pv_sink *sink;
    line_completer *complete;
    void *context; ///< for sink and complete

    char text[LINE_SIZE]; ///< NUL-terminated
    size_t length, cursor;
    size_t scroll; ///< first character that is shown

    unsigned char escape;         ///< state of an escape sequence: enum in line.c
    unsigned parameter, modifier; ///< its numbers
    bool after_return;            ///< the last byte was '\r': a '\n' that follows belongs to it
    bool after_tab;               ///< the last key was Tab: the next one lists

    char history[LINE_HISTORY][LINE_SIZE];
    size_t history_count;  ///< lines ever remembered
    size_t history_back;   ///< how far up the arrow keys went; 0: the line being written
    char draft[LINE_SIZE]; ///< the line being written, while an older one is shown
};

void line_init(struct line_editor *line, const char *prompt, size_t columns, pv_sink *sink, line_completer *complete,
               void *context);
/// Begins a new, empty line: shows the prompt.
void line_begin(struct line_editor *line);
/// Takes one byte from the keyboard. After LINE_READY the line is in line->text and in the history.
enum line_result line_feed(struct line_editor *line, unsigned char byte);
/// Draws prompt and line anew, on the row where the terminal's cursor is.
void line_redraw(struct line_editor *line);

#endif
