// SPDX-License-Identifier: Apache-2.0
/// Configuration: from bytes to tokens, and messages that quote them. Nothing here trusts the text: it may be any
/// bytes.
#include "config_reader.h"

#include <polyvisor/format.h>
#include <polyvisor/string.h>

enum {
    QUOTE_BYTES = 40, ///< how much of a token a message shows
    QUOTE_SIZE = QUOTE_BYTES * 4 + 8,
};

static bool is_printable(char c)
{
    return c >= 0x20 && c <= 0x7e;
}

/// Writes 'TEXT' in quotes, cut, with everything but printable ASCII as \xNN, so that no input can disturb a terminal.
static void quote(char out[QUOTE_SIZE], const struct config_token *token)
{
    size_t shown = token->size < QUOTE_BYTES ? token->size : QUOTE_BYTES;
    size_t used = 0;

    out[used++] = '\'';
    for (size_t i = 0; i < shown; i++) {
        char c = token->text[i];
        if (is_printable(c))
            out[used++] = c;
        else
            used += pv_snprintf(out + used, QUOTE_SIZE - used, "\\x%02x", (unsigned)(unsigned char)c);
    }
    pv_snprintf(out + used, QUOTE_SIZE - used, "%s'", shown < token->size ? "..." : "");
}

static void describe(char out[QUOTE_SIZE], const struct config_reader *reader, const struct config_token *token)
{
    if (token->kind == CONFIG_TOKEN_EOF)
        pv_strcopy(out, QUOTE_SIZE, reader->line == 0 ? "the end of the value" : "the end of the file");
    else if (token->kind == CONFIG_TOKEN_END && (token->size == 0 || *token->text != ';'))
        pv_strcopy(out, QUOTE_SIZE, "the end of the line");
    else if (token->size == 0)
        pv_strcopy(out, QUOTE_SIZE, "nothing");
    else
        quote(out, token);
}

/// Writes the head of a message and returns how long it is.
static size_t begin_message(struct config_error *error, const char *file, struct config_place place)
{
    const char *name = place.line == 0 ? CONFIG_COMMAND_LINE : file;
    uint32_t line = place.line == 0 ? 1 : place.line;
    size_t used;

    error->place = place;
    used = pv_snprintf(error->message, sizeof(error->message), "%.200s:%u:%u: ", name, line, place.column);
    return used < sizeof(error->message) ? used : sizeof(error->message) - 1;
}

bool config_report(struct config_error *error, const char *file, struct config_place place, const char *format, ...)
{
    size_t used = begin_message(error, file, place);
    va_list args;

    va_start(args, format);
    pv_vsnprintf(error->message + used, sizeof(error->message) - used, format, args);
    va_end(args);
    return false;
}

bool config_fail(struct config_reader *reader, const struct config_token *found, const char *format, ...)
{
    struct config_error *error = reader->error;
    size_t used = begin_message(error, reader->file, found->place);
    char what[QUOTE_SIZE];
    va_list args;

    describe(what, reader, found);
    used += pv_snprintf(error->message + used, sizeof(error->message) - used, "found %s, expected ", what);
    va_start(args, format);
    if (used < sizeof(error->message))
        pv_vsnprintf(error->message + used, sizeof(error->message) - used, format, args);
    va_end(args);
    return false;
}

struct config_token config_part(const struct config_token *token, size_t from, size_t size)
{
    struct config_token part = *token;

    part.kind = CONFIG_TOKEN_WORD;
    part.text += from;
    part.size = size;
    part.place.column += (uint32_t)from;
    return part;
}

bool config_token_is(const struct config_token *token, const char *word)
{
    return token->kind == CONFIG_TOKEN_WORD && token->size == strlen(word) &&
           memcmp(token->text, word, token->size) == 0;
}

static char peek(const struct config_reader *reader)
{
    return reader->text[reader->at];
}

/// Whether there is a byte, and it is not the end of the line.
static bool in_line(const struct config_reader *reader)
{
    return reader->at < reader->size && peek(reader) != '\n';
}

/// Starts a token of one byte at the present position; longer ones grow from that.
static void begin_token(struct config_reader *reader, enum config_token_kind kind)
{
    reader->token.kind = kind;
    reader->token.text = reader->text + reader->at;
    reader->token.size = reader->at < reader->size ? 1 : 0;
    reader->token.place.line = reader->line;
    reader->token.place.column = (uint32_t)(reader->at - reader->line_start + 1);
}

/// Fails about the byte at the present position.
static bool fail_here(struct config_reader *reader, const char *expected)
{
    begin_token(reader, CONFIG_TOKEN_WORD);
    return config_fail(reader, &reader->token, "%s", expected);
}

/// Skips blanks and a comment. A NUL in a comment is an error too: such a file is no text, and tools would show it cut.
static bool skip_blanks(struct config_reader *reader)
{
    bool comment = false;

    for (; in_line(reader); reader->at++) {
        char c = peek(reader);
        if (comment && c == '\0')
            return fail_here(reader, "text without NUL bytes");
        if (!comment && c == '#')
            comment = true;
        if (!comment && c != ' ' && c != '\t' && c != '\r')
            return true;
    }
    return true;
}

static bool is_word_byte(char c)
{
    return c != '\0' && pv_strchr(" \t\r\n;{}#\"", c) == NULL;
}

/// A word takes whatever is no separator, so that garbage is shown as it stands; its reader judges the characters.
static bool read_word(struct config_reader *reader)
{
    begin_token(reader, CONFIG_TOKEN_WORD);
    while (reader->at < reader->size && is_word_byte(peek(reader)))
        reader->at++;
    reader->token.size = (size_t)(reader->text + reader->at - reader->token.text);
    if (reader->token.size == 0) // the only byte that is neither separator nor part of a word
        return fail_here(reader, "text without NUL bytes");
    return true;
}

/// Checks one backslash sequence; the reader stands on the backslash and is moved onto its last byte.
static bool read_escape(struct config_reader *reader)
{
    size_t next = reader->at + 1;

    if (next < reader->size && (reader->text[next] == '"' || reader->text[next] == '\\')) {
        reader->at = next;
        return true;
    }
    begin_token(reader, CONFIG_TOKEN_WORD);
    if (next < reader->size && reader->text[next] != '\n' && reader->text[next] != '\r')
        reader->token.size = 2;
    return config_fail(reader, &reader->token, "\\\" or \\\\ (a backslash in a string stands before one of the two)");
}

static bool read_string(struct config_reader *reader)
{
    begin_token(reader, CONFIG_TOKEN_STRING);
    for (reader->at++; in_line(reader) && peek(reader) != '\r'; reader->at++) {
        char c = peek(reader);
        if (c == '"') {
            reader->at++;
            reader->token.size = (size_t)(reader->text + reader->at - reader->token.text);
            return true;
        }
        if (((unsigned char)c < 0x20 && c != '\t') || c == 0x7f)
            return fail_here(reader, "no control characters in a string");
        if (c == '\\') {
            struct config_token string = reader->token;
            if (!read_escape(reader))
                return false;
            reader->token = string;
        }
    }
    reader->token.size = (size_t)(reader->text + reader->at - reader->token.text);
    return config_fail(reader, &reader->token, "a '\"' that ends the string on the same line");
}

static bool read_byte(struct config_reader *reader, enum config_token_kind kind)
{
    begin_token(reader, kind);
    reader->at++;
    return true;
}

bool config_next(struct config_reader *reader)
{
    if (!skip_blanks(reader))
        return false;
    if (reader->at >= reader->size) {
        begin_token(reader, CONFIG_TOKEN_EOF);
        return true;
    }
    switch (peek(reader)) {
    case '{':
        return read_byte(reader, CONFIG_TOKEN_OPEN);
    case '}':
        return read_byte(reader, CONFIG_TOKEN_CLOSE);
    case ';':
        return read_byte(reader, CONFIG_TOKEN_END);
    case '\n':
        read_byte(reader, CONFIG_TOKEN_END);
        reader->line_start = reader->at;
        if (reader->line != 0)
            reader->line++;
        return true;
    case '"':
        return read_string(reader);
    default:
        return read_word(reader);
    }
}
