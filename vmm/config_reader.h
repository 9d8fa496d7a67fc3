// SPDX-License-Identifier: Apache-2.0
/// The inside of the configuration parser (config.h): tokens, error messages, values. Nobody but vmm/config*.c
/// includes this.
#ifndef POLYVISOR_CONFIG_READER_H
#define POLYVISOR_CONFIG_READER_H

#include "config.h"

enum config_token_kind {
    CONFIG_TOKEN_WORD,
    CONFIG_TOKEN_STRING, ///< its text includes the quotes
    CONFIG_TOKEN_OPEN,   ///< {
    CONFIG_TOKEN_CLOSE,  ///< }
    CONFIG_TOKEN_END,    ///< of a statement: ';' or the end of the line
    CONFIG_TOKEN_EOF,
};

struct config_token {
    enum config_token_kind kind;
    const char *text; ///< in the input, not terminated
    size_t size;
    struct config_place place;
};

/// A position in a text, and where results and errors go.
struct config_reader {
    struct config *config;
    struct config_error *error;
    const char *file; ///< for messages
    const char *text;
    size_t size;
    size_t at;         ///< where the next token is searched
    size_t line_start; ///< columns count from here
    uint32_t line;     ///< 0: the command line
    struct config_token token;
};

/// Name of the command line in messages.
#define CONFIG_COMMAND_LINE "command line"

// ---- config_lexer.c ----

/// Writes "FILE:LINE:COLUMN: " and the formatted rest into *error. Always false, so that callers can return it.
bool config_report(struct config_error *error, const char *file, struct config_place place, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/// Writes "FILE:LINE:COLUMN: found TOKEN, expected " and the formatted rest into reader->error. Always false.
bool config_fail(struct config_reader *reader, const struct config_token *found, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/// Moves on to the next token. False: an error was written.
bool config_next(struct config_reader *reader);

/// A part of a token, for messages about that part.
struct config_token config_part(const struct config_token *token, size_t from, size_t size);

bool config_token_is(const struct config_token *token, const char *word);

// ---- config_value.c ----

/// Reads the values of one statement of a block into *p, from reader->token on; reader->token is then the one behind
/// them.
typedef bool config_value(struct config_reader *reader, struct config_personality *p);

struct config_key {
    const char *name;
    config_value *read;
    bool repeatable; ///< may stand several times in a block
    bool text;       ///< the value may be a string, so that its quotes matter on the command line too
};

enum { CONFIG_KEY_COUNT = 12 };
extern const struct config_key config_keys[CONFIG_KEY_COUNT];

/// Number of the key that a token names, or CONFIG_KEY_COUNT.
uint32_t config_find_key(const struct config_token *token);

/// Fails with the list of keys: "found 'colour', expected image, cores, ... or '}'".
bool config_fail_key(struct config_reader *reader, const struct config_token *found, const char *or_else);

/// The value of `policy`.
bool config_read_policy(struct config_reader *reader, enum pv_policy *policy);
/// The value of `timer`.
bool config_read_timer(struct config_reader *reader, bool *lapic);

/// Personality of a name, or NULL.
struct config_personality *config_find(struct config *config, const char *name);

// ---- config_text.c ----

/// Copies text into the configuration's strings. NULL, and an error about the token, when they are full.
const char *config_store(struct config_reader *reader, const struct config_token *token, const char *text, size_t size);

/// Copies a name (letters, digits, '-', '_', '.'; what: "a name", for messages) into the configuration's strings and
/// moves on.
bool config_read_name(struct config_reader *reader, const char *what, const char **name);

/// Copies a word or a string without its quotes and backslashes, and moves on. The lexer has checked the escapes.
bool config_read_text(struct config_reader *reader, size_t limit, const char *what, const char **text);

/// A file name: a bare word, or a string where it has blanks or the like. ASCII, because firmware's names are UCS-2.
bool config_read_file(struct config_reader *reader, const char **file);

/// Puts a file name into the list of files unless it is there. False: the list is full.
bool config_list_file(struct config *config, const char *name);

// ---- config_number.c ----

enum { CONFIG_SLICE_MIN_US = 100, CONFIG_SLOT_MIN_US = 10, CONFIG_TIME_MAX_US = 1000000 };

bool config_is_digit(char c);

/// Reads a decimal number from token->text[*at] on. False: there is none, or it is greater than the limit.
bool config_scan_number(const struct config_token *token, size_t *at, uint64_t limit, uint64_t *value);

/// The same of a decimal number, or a hexadecimal one that starts with 0x.
bool config_scan_register(const struct config_token *token, size_t *at, uint32_t limit, uint32_t *value);

/// A number of bytes with K, M or G; a multiple of 4 KiB, not zero.
bool config_read_size(struct config_reader *reader, uint64_t *bytes);

/// The value of `slice`, or a slot's time: from min_us to CONFIG_TIME_MAX_US.
bool config_read_time(struct config_reader *reader, uint32_t min_us, uint32_t *microseconds);

/// Prints a size as the configuration would say it: "64M", "12K", "100". Returns text.
enum { CONFIG_SIZE_TEXT = 24 };
const char *config_size_text(char text[CONFIG_SIZE_TEXT], uint64_t bytes);

// ---- config_grant.c ----

/// The values of `msr` and `io`.
bool config_read_msr(struct config_reader *reader, struct config_personality *p);
bool config_read_io(struct config_reader *reader, struct config_personality *p);

#endif
