// SPDX-License-Identifier: Apache-2.0
#include "line.h"

#include "line_keys.h"

#include <polyvisor/string.h>

static void emit(struct line_editor *line, const char *text, size_t size)
{
    if (size > 0)
        line->sink(line->context, text, size);
}

static void emit_text(struct line_editor *line, const char *text)
{
    emit(line, text, strlen(text));
}

/// Characters of the line that fit behind the prompt; the last column stays free, because writing there may move to the next row.
static size_t visible(const struct line_editor *line)
{
    enum { LEAST = 8 };
    const size_t used = strlen(line->prompt) + 1;
    return line->columns > used + LEAST ? line->columns - used : LEAST;
}

/// Moves the shown part of the line so that the cursor is in it.
static void scroll_to_cursor(struct line_editor *line)
{
    const size_t width = visible(line);
    if (line->cursor < line->scroll)
        line->scroll = line->cursor;
    if (line->cursor > line->scroll + width)
        line->scroll = line->cursor - width;
    // Use the whole width again when the line has become shorter.
    if (line->length <= width)
        line->scroll = 0;
    else if (line->scroll > line->length - width)
        line->scroll = line->length - width;
}

void line_redraw(struct line_editor *line)
{
    scroll_to_cursor(line);
    const size_t width = visible(line);
    const size_t rest = line->length - line->scroll;
    emit_text(line, "\r");
    emit_text(line, line->prompt);
    emit(line, line->text + line->scroll, rest < width ? rest : width);
    emit_text(line, "\x1b[K\r"); // clear what stood behind it
    const size_t column = strlen(line->prompt) + line->cursor - line->scroll;
    if (column > 0)
        pv_format(line->sink, line->context, "\x1b[%zuC", column);
}

void line_init(struct line_editor *line, const char *prompt, size_t columns, pv_sink *sink, line_completer *complete,
               void *context)
{
    memset(line, 0, sizeof(*line));
    line->prompt = prompt;
    line->columns = columns;
    line->sink = sink;
    line->complete = complete;
    line->context = context;
}

void line_begin(struct line_editor *line)
{
    line->length = line->cursor = line->scroll = 0;
    line->text[0] = '\0';
    line->history_back = 0;
    line->after_tab = false;
    emit_text(line, line->prompt);
}

static void beep(struct line_editor *line)
{
    emit_text(line, "\a");
}

/// Inserts text at the cursor. False, with a beep, when the line is full.
static bool insert(struct line_editor *line, const char *text, size_t size)
{
    if (size >= LINE_SIZE - line->length) {
        beep(line);
        return false;
    }
    memmove(line->text + line->cursor + size, line->text + line->cursor, line->length - line->cursor + 1);
    memcpy(line->text + line->cursor, text, size);
    const bool at_end = line->cursor == line->length;
    line->length += size;
    line->cursor += size;
    // Typing at the end of a line that fits needs no redrawing, and a log of the session stays readable.
    if (at_end && line->scroll == 0 && line->length < visible(line))
        emit(line, text, size);
    else
        line_redraw(line);
    return true;
}

/// Removes characters [from, to); the cursor goes to where they were.
static void cut(struct line_editor *line, size_t from, size_t to)
{
    const bool at_end = line->cursor == line->length && to == line->length;
    const bool fits = line->scroll == 0 && line->length < visible(line);
    if (from == to)
        return;
    memmove(line->text + from, line->text + to, line->length - to + 1);
    line->length -= to - from;
    line->cursor = from;
    if (at_end && fits)
        pv_format(line->sink, line->context, "\x1b[%zuD\x1b[K", to - from);
    else
        line_redraw(line);
}

static void move_to(struct line_editor *line, size_t cursor)
{
    if (cursor == line->cursor)
        return;
    line->cursor = cursor;
    line_redraw(line);
}

static size_t word_before(const struct line_editor *line)
{
    size_t at = line->cursor;
    while (at > 0 && line->text[at - 1] == ' ')
        at--;
    while (at > 0 && line->text[at - 1] != ' ')
        at--;
    return at;
}

static size_t word_behind(const struct line_editor *line)
{
    size_t at = line->cursor;
    while (at < line->length && line->text[at] == ' ')
        at++;
    while (at < line->length && line->text[at] != ' ')
        at++;
    return at;
}

/* ---- history ---- */

static size_t history_kept(const struct line_editor *line)
{
    return line->history_count < LINE_HISTORY ? line->history_count : LINE_HISTORY;
}

/// The line that was entered `back` lines ago, from 1.
static char *history_line(struct line_editor *line, size_t back)
{
    return line->history[(line->history_count - back) % LINE_HISTORY];
}

static void remember(struct line_editor *line)
{
    if (line->length == 0)
        return;
    if (line->history_count > 0 && strcmp(history_line(line, 1), line->text) == 0)
        return;
    line->history_count++;
    memcpy(history_line(line, 1), line->text, line->length + 1);
}

/// Shows the line `back` lines ago, or the draft for 0.
static void show_history(struct line_editor *line, size_t back)
{
    if (back > history_kept(line)) {
        beep(line);
        return;
    }
    if (line->history_back == 0)
        memcpy(line->draft, line->text, line->length + 1);
    line->history_back = back;
    pv_strcopy(line->text, LINE_SIZE, back == 0 ? line->draft : history_line(line, back));
    line->length = line->cursor = strlen(line->text);
    line_redraw(line);
}

/* ---- completion ---- */

struct completion {
    size_t start;  ///< of the word on the line
    size_t size;   ///< of the word
    size_t count;  ///< candidates that begin like it
    size_t common; ///< characters that all of them begin with
    const char *first;
};

static bool begins_like(const struct line_editor *line, const struct completion *found, const char *candidate)
{
    return strncmp(candidate, line->text + found->start, found->size) == 0;
}

static const char *candidate(struct line_editor *line, const struct completion *found, size_t index)
{
    return line->complete == NULL ? NULL : line->complete(line->context, line->text, found->start, index);
}

static struct completion find_candidates(struct line_editor *line)
{
    struct completion found = {.start = line->cursor};
    while (found.start > 0 && line->text[found.start - 1] != ' ')
        found.start--;
    found.size = line->cursor - found.start;
    const char *name;
    for (size_t i = 0; (name = candidate(line, &found, i)) != NULL; i++) {
        if (!begins_like(line, &found, name))
            continue;
        if (found.count++ == 0) {
            found.first = name;
            found.common = strlen(name);
        }
        size_t same = 0;
        while (same < found.common && name[same] == found.first[same])
            same++;
        found.common = same;
    }
    return found;
}

/// Lists the candidates in columns under the line, then draws the line again.
static void list_candidates(struct line_editor *line, const struct completion *found)
{
    enum { GAP = 2 };
    const char *name;
    size_t width = 0;
    for (size_t i = 0; (name = candidate(line, found, i)) != NULL; i++)
        if (begins_like(line, found, name) && strlen(name) + GAP > width)
            width = strlen(name) + GAP;
    size_t column = line->columns; // as if a row were full, to begin one
    for (size_t i = 0; (name = candidate(line, found, i)) != NULL; i++) {
        if (!begins_like(line, found, name))
            continue;
        if (column + width >= line->columns) {
            emit_text(line, "\n");
            column = 0;
        }
        pv_format(line->sink, line->context, "%-*s", (int)width, name);
        column += width;
    }
    emit_text(line, "\n");
    line_redraw(line);
}

static void complete(struct line_editor *line)
{
    const struct completion found = find_candidates(line);
    if (found.count == 0) {
        beep(line);
        return;
    }
    if (found.common > found.size)
        insert(line, found.first + found.size, found.common - found.size);
    if (found.count == 1) {
        if (line->text[line->cursor] != ' ')
            insert(line, " ", 1);
        return;
    }
    if (found.common > found.size)
        return;
    if (line->after_tab)
        list_candidates(line, &found);
    else
        beep(line);
}

/* ---- keys ---- */

static enum line_result finish(struct line_editor *line, enum line_result result)
{
    emit_text(line, result == LINE_DROPPED ? "^C\n" : "\n");
    if (result == LINE_READY)
        remember(line);
    return result;
}

static enum line_result delete_or_end(struct line_editor *line)
{
    if (line->length == 0)
        return finish(line, LINE_END);
    if (line->cursor < line->length)
        cut(line, line->cursor, line->cursor + 1);
    return LINE_EDITING;
}

static void clear_screen(struct line_editor *line)
{
    emit_text(line, "\x1b[H\x1b[2J");
    line_redraw(line);
}

static void edit(struct line_editor *line, enum line_key key)
{
    switch (key) {
    case KEY_LEFT:
        move_to(line, line->cursor > 0 ? line->cursor - 1 : 0);
        break;
    case KEY_RIGHT:
        move_to(line, line->cursor < line->length ? line->cursor + 1 : line->length);
        break;
    case KEY_HOME:
        move_to(line, 0);
        break;
    case KEY_END:
        move_to(line, line->length);
        break;
    case KEY_WORD_LEFT:
        move_to(line, word_before(line));
        break;
    case KEY_WORD_RIGHT:
        move_to(line, word_behind(line));
        break;
    case KEY_BACKSPACE:
        if (line->cursor > 0)
            cut(line, line->cursor - 1, line->cursor);
        break;
    case KEY_DELETE:
        if (line->cursor < line->length)
            cut(line, line->cursor, line->cursor + 1);
        break;
    case KEY_CUT_END:
        cut(line, line->cursor, line->length);
        break;
    case KEY_CUT_BEGIN:
        cut(line, 0, line->cursor);
        break;
    case KEY_CUT_WORD:
        cut(line, word_before(line), line->cursor);
        break;
    case KEY_UP:
        show_history(line, line->history_back + 1);
        break;
    case KEY_DOWN:
        if (line->history_back > 0)
            show_history(line, line->history_back - 1);
        break;
    case KEY_TAB:
        complete(line);
        break;
    case KEY_CLEAR:
        clear_screen(line);
        break;
    default:
        break;
    }
}

enum line_result line_feed(struct line_editor *line, unsigned char byte)
{
    const bool second_half = byte == '\n' && line->after_return;
    line->after_return = byte == '\r';
    if (second_half)
        return LINE_EDITING;
    const enum line_key key = line_decode(line, byte);
    if (key == KEY_PENDING)
        return LINE_EDITING;
    if (key == KEY_ENTER)
        return finish(line, LINE_READY);
    if (key == KEY_DROP)
        return finish(line, LINE_DROPPED);
    if (key == KEY_DELETE_OR_END)
        return delete_or_end(line);
    if (key == KEY_CHARACTER)
        insert(line, (const char *)&byte, 1);
    else
        edit(line, key);
    line->after_tab = key == KEY_TAB;
    return LINE_EDITING;
}
