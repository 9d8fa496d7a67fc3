// SPDX-License-Identifier: Apache-2.0
#include "command_line.h"

#include <polyvisor/string.h>
#include <stdbool.h>
#include <stdint.h>

static bool is_text(unsigned unit)
{
    return unit == '\t' || (unit >= ' ' && unit <= '~');
}

/// Little-endian, from memory of any alignment.
static unsigned unit_at(const unsigned char *bytes, size_t width, size_t index)
{
    return width == 1 ? bytes[index] : (unsigned)bytes[2 * index] | (unsigned)bytes[2 * index + 1] << 8;
}

/// Number of characters before the NUL or the end, when all of them are text; SIZE_MAX otherwise.
static size_t text_length(const unsigned char *bytes, size_t width, size_t size)
{
    size_t units = size / width, length = 0;
    while (length < units && unit_at(bytes, width, length) != 0) {
        if (!is_text(unit_at(bytes, width, length)))
            return SIZE_MAX;
        length++;
    }
    return length;
}

/// The same for ASCII, where behind a NUL only further ones may follow: UCS-2 text begins like an ASCII text of one
/// character.
static size_t ascii_length(const unsigned char *bytes, size_t size)
{
    size_t length = text_length(bytes, 1, size);
    for (size_t i = length; length != SIZE_MAX && i < size; i++) {
        if (bytes[i] != 0)
            return SIZE_MAX;
    }
    return length;
}

static bool ends_with_efi(const char *word, size_t length)
{
    static const char suffix[] = ".efi";
    if (length < sizeof suffix - 1)
        return false;
    for (size_t i = 0; i < sizeof suffix - 1; i++) {
        char c = word[length - (sizeof suffix - 1) + i];
        if ((c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c) != suffix[i])
            return false;
    }
    return true;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/// Where the arguments begin: behind a first word (maybe in quotes) that ends in .efi, and behind blanks.
static size_t skip_own_name(const char *line)
{
    size_t start = 0, end;
    while (is_blank(line[start]))
        start++;
    bool quoted = line[start] == '"';
    for (end = start + quoted; line[end] && (quoted ? line[end] != '"' : !is_blank(line[end])); end++)
        ;
    if (!ends_with_efi(line + start + quoted, end - start - quoted))
        return start;
    if (quoted && line[end])
        end++;
    while (is_blank(line[end]))
        end++;
    return end;
}

const char *command_line_from_options(const void *options, size_t size, char *line, size_t line_size)
{
    const unsigned char *bytes = options;
    size_t width = 2;
    line[0] = 0;
    if (!options || size == 0)
        return NULL;
    size_t length = text_length(bytes, width, size);
    if (length == SIZE_MAX) {
        width = 1;
        length = ascii_length(bytes, size);
    }
    if (length == SIZE_MAX)
        return "the load options are not text and were ignored";
    const char *complaint = length < line_size ? NULL : "the command line is too long and was cut";
    if (length >= line_size)
        length = line_size - 1;
    for (size_t i = 0; i < length; i++)
        line[i] = (char)unit_at(bytes, width, i);
    line[length] = 0;
    size_t skipped = skip_own_name(line);
    memmove(line, line + skipped, length - skipped + 1);
    return complaint;
}
