// SPDX-License-Identifier: Apache-2.0
/// Configuration: what is copied out of it: names, strings, files.
#include "config_reader.h"

#include <polyvisor/string.h>

const char *config_store(struct config_reader *reader, const struct config_token *token, const char *text, size_t size)
{
    struct config *config = reader->config;
    char *copy = config->strings + config->strings_used;

    if (size >= sizeof(config->strings) - config->strings_used) {
        config_fail(reader, token, "less text: there is room for %zu bytes of names and strings in all",
                    sizeof(config->strings));
        return NULL;
    }
    memcpy(copy, text, size);
    copy[size] = '\0';
    config->strings_used += size + 1;
    return copy;
}

static bool is_name_byte(char c)
{
    return config_is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_' || c == '.';
}

bool config_read_name(struct config_reader *reader, const char *what, const char **name)
{
    const struct config_token *token = &reader->token;
    bool good = token->kind == CONFIG_TOKEN_WORD;

    for (size_t i = 0; good && i < token->size; i++)
        good = is_name_byte(token->text[i]);
    if (!good)
        return config_fail(reader, token, "%s (letters, digits, '-', '_', '.')", what);
    if (token->size >= PV_NAME_SIZE)
        return config_fail(reader, token, "%s of at most %d characters", what, PV_NAME_SIZE - 1);
    *name = config_store(reader, token, token->text, token->size);
    return *name != NULL && config_next(reader);
}

bool config_list_file(struct config *config, const char *name)
{
    for (uint32_t i = 0; i < config->file_count; i++) {
        if (strcmp(config->files[i], name) == 0)
            return true;
    }
    if (config->file_count == CONFIG_MAX_FILES)
        return false;
    config->files[config->file_count++] = name;
    return true;
}

bool config_read_text(struct config_reader *reader, size_t limit, const char *what, const char **text)
{
    struct config *config = reader->config;
    struct config_token token = reader->token;
    size_t quotes = token.kind == CONFIG_TOKEN_STRING ? 1 : 0;
    const char *from = token.text + quotes;
    const char *end = token.text + token.size - quotes;
    char *copy = config->strings + config->strings_used;
    size_t used = 0;

    *text = config_store(reader, &token, from, (size_t)(end - from)); // room for the longest that it can be
    if (*text == NULL)
        return false;
    for (; from < end; from++) {
        if (quotes != 0 && *from == '\\')
            from++;
        copy[used++] = *from;
    }
    copy[used] = '\0';
    config->strings_used = (size_t)(copy - config->strings) + used + 1;
    if (used > limit)
        return config_fail(reader, &token, "%s of at most %zu bytes, not %zu", what, limit, used);
    return config_next(reader);
}

bool config_read_file(struct config_reader *reader, const char **file)
{
    struct config_token token = reader->token;
    bool good = token.kind == CONFIG_TOKEN_WORD || (token.kind == CONFIG_TOKEN_STRING && token.size > 2);

    for (size_t i = 0; good && i < token.size; i++)
        good = token.text[i] >= 0x20 && token.text[i] <= 0x7e;
    if (!good)
        return config_fail(reader, &token, "a file name (printable ASCII, in quotes where it has blanks)");
    if (!config_read_text(reader, PV_FILE_SIZE - 1, "a file name", file))
        return false;
    if (!config_list_file(reader->config, *file))
        return config_fail(reader, &token, "at most %d different files", CONFIG_MAX_FILES);
    return true;
}
