// SPDX-License-Identifier: Apache-2.0
#include "multiboot2.h"

#include <polyvisor/string.h>

/// Reads one word as GRUB writes it, up to and with the space or quote that ends it. Returns whether it was in quotes.
static bool read_word(const char **from, char word[BOOT_CMDLINE_SIZE])
{
    const char *at = *from;
    bool quoted = *at == '"';
    char end = quoted ? '"' : ' ';
    size_t length = 0;
    for (at += quoted; *at && *at != end; at++) {
        if (*at == '\\' && at[1])
            at++;
        if (length < BOOT_CMDLINE_SIZE - 1)
            word[length++] = *at;
    }
    word[length] = 0;
    *from = *at ? at + 1 : at;
    return quoted;
}

/// Adds a character behind *length. False: no room for it and a NUL.
static bool put(char *to, size_t size, size_t *length, char c)
{
    if (*length + 1 >= size)
        return false;
    to[(*length)++] = c;
    return true;
}

/// Writes a word; with quotes, the part behind '=' in quotes, unless it begins with one.
static bool write_word(char *to, size_t size, size_t *length, const char *word, bool quotes)
{
    bool in_value = false, fits = true;
    for (; *word; word++) {
        if (in_value && (*word == '"' || *word == '\\'))
            fits &= put(to, size, length, '\\');
        fits &= put(to, size, length, *word);
        if (quotes && !in_value && *word == '=' && word[1] != '"') {
            in_value = true;
            fits &= put(to, size, length, '"');
        }
        quotes = quotes && *word != '=';
    }
    return fits && (!in_value || put(to, size, length, '"'));
}

bool multiboot2_unquote(const char *from, char *to, size_t size)
{
    char word[BOOT_CMDLINE_SIZE];
    size_t length = 0;
    to[0] = 0;
    while (*from) {
        if (*from == ' ') {
            from++;
            continue;
        }
        size_t before = length;
        bool quoted = read_word(&from, word);
        bool fits = before == 0 || put(to, size, &length, ' ');
        if (!fits || !write_word(to, size, &length, word, quoted)) {
            to[before] = 0;
            return false;
        }
        to[length] = 0;
    }
    return true;
}
