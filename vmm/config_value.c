// SPDX-License-Identifier: Apache-2.0
/// Configuration: the values of the keys: names, files, sizes, core lists, numbers, strings.
#include "config_reader.h"

#include <polyvisor/format.h>
#include <polyvisor/string.h>

#define PAGE_SIZE UINT64_C(4096)
/// No processor addresses more; small enough that sums of all personalities do not overflow.
#define SIZE_LIMIT (UINT64_C(1) << 52)

enum { SLICE_MIN_US = 100, SLICE_MAX_US = 1000000, DECIMAL = 10 };

const char *config_size_text(char text[CONFIG_SIZE_TEXT], uint64_t bytes)
{
    static const char units[] = {'K', 'M', 'G'};
    char unit = '\0';

    for (size_t i = 0; i < sizeof(units) && bytes != 0 && bytes % 1024 == 0; i++) {
        bytes /= 1024;
        unit = units[i];
    }
    pv_snprintf(text, CONFIG_SIZE_TEXT, unit ? "%llu%c" : "%llu", (unsigned long long)bytes, unit);
    return text;
}

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

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_name_byte(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_' || c == '.';
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

/// Copies a word or a string without its quotes and backslashes, and moves on. The lexer has checked the escapes.
static bool read_text(struct config_reader *reader, size_t limit, const char *what, const char **text)
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

/// A file name: a bare word, or a string where it has blanks or the like. ASCII, because firmware's names are UCS-2.
static bool read_file(struct config_reader *reader, const char **file)
{
    struct config_token token = reader->token;
    bool good = token.kind == CONFIG_TOKEN_WORD || (token.kind == CONFIG_TOKEN_STRING && token.size > 2);

    for (size_t i = 0; good && i < token.size; i++)
        good = token.text[i] >= 0x20 && token.text[i] <= 0x7e;
    if (!good)
        return config_fail(reader, &token, "a file name (printable ASCII, in quotes where it has blanks)");
    if (!read_text(reader, PV_FILE_SIZE - 1, "a file name", file))
        return false;
    if (!config_list_file(reader->config, *file))
        return config_fail(reader, &token, "at most %d different files", CONFIG_MAX_FILES);
    return true;
}

/// Reads decimal digits from token->text[*at] on. False when there are none or the number is greater than `limit`.
static bool scan_number(const struct config_token *token, size_t *at, uint64_t limit, uint64_t *value)
{
    size_t start = *at;

    *value = 0;
    for (; *at < token->size && is_digit(token->text[*at]); ++*at) {
        uint64_t digit = (uint64_t)(token->text[*at] - '0');
        if (digit > limit || *value > (limit - digit) / DECIMAL)
            return false;
        *value = *value * DECIMAL + digit;
    }
    return *at > start;
}

/// Whether a word is digits and then one of the units, which are separated by blanks in `units` ("us ms s").
/// *unit becomes the unit's number, counted from 1; 0: no unit.
static bool scan_unit(const struct config_token *token, const char *units, unsigned *unit)
{
    size_t digits = 0;

    while (digits < token->size && is_digit(token->text[digits]))
        digits++;
    *unit = 0;
    if (token->kind != CONFIG_TOKEN_WORD || digits == 0)
        return false;
    if (digits == token->size)
        return true;
    for (const char *name = units; *name != '\0';) {
        size_t size = 0;
        while (name[size] != '\0' && name[size] != ' ')
            size++;
        ++*unit;
        if (size == token->size - digits && memcmp(name, token->text + digits, size) == 0)
            return true;
        name += size + (name[size] == ' ' ? 1 : 0);
    }
    return false;
}

/// A number of bytes with K, M or G; a multiple of 4 KiB, not zero.
static bool read_size(struct config_reader *reader, uint64_t *bytes)
{
    struct config_token token = reader->token;
    unsigned unit;
    size_t at = 0;

    if (!scan_unit(&token, "K M G", &unit))
        return config_fail(reader, &token, "a size such as 64M (K, M or G)");
    if (!scan_number(&token, &at, SIZE_LIMIT >> (unit * 10), bytes))
        return config_fail(reader, &token, "a size of at most %lluG", (unsigned long long)(SIZE_LIMIT >> 30));
    *bytes <<= unit * 10;
    if (*bytes == 0)
        return config_fail(reader, &token, "a size of at least 4K");
    if (*bytes % PAGE_SIZE != 0)
        return config_fail(reader, &token, "a size that is a multiple of 4K");
    return config_next(reader);
}

bool config_read_slice(struct config_reader *reader, uint32_t *microseconds)
{
    static const uint32_t factors[] = {0, 1, 1000, 1000000};
    struct config_token token = reader->token;
    uint64_t value;
    unsigned unit;
    size_t at = 0;

    if (!scan_unit(&token, "us ms s", &unit) || unit == 0)
        return config_fail(reader, &token, "a time such as 1ms (us, ms or s)");
    if (!scan_number(&token, &at, SLICE_MAX_US / factors[unit], &value) || value * factors[unit] < SLICE_MIN_US)
        return config_fail(reader, &token, "a time from 100us to 1s");
    *microseconds = (uint32_t)value * factors[unit];
    return config_next(reader);
}

static bool read_image(struct config_reader *reader, struct config_personality *p)
{
    p->image_place = reader->token.place;
    return read_file(reader, &p->image);
}

/// One element of a core list, N or N-M.
static bool read_core_range(struct config_reader *reader, const struct config_token *range, uint64_t *cores)
{
    uint64_t first, last, mask;
    size_t at = 0;
    bool good = scan_number(range, &at, PV_MAX_CORES - 1, &first);

    last = first;
    if (good && at < range->size && range->text[at] == '-') {
        at++;
        good = scan_number(range, &at, PV_MAX_CORES - 1, &last);
    }
    if (!good || at != range->size)
        return config_fail(reader, range, "a core number from 0 to %d or a range such as 2-5", PV_MAX_CORES - 1);
    if (last < first)
        return config_fail(reader, range, "a range that ascends, %llu-%llu", (unsigned long long)last,
                           (unsigned long long)first);
    mask = (UINT64_MAX >> (PV_MAX_CORES - 1 - last)) & (UINT64_MAX << first);
    if ((*cores & mask) != 0)
        return config_fail(reader, range, "cores that the list does not have yet (overlapping cores)");
    *cores |= mask;
    return true;
}

static bool read_core_list(struct config_reader *reader, const struct config_token *list, uint64_t *cores)
{
    *cores = 0;
    for (size_t from = 0; from <= list->size;) {
        size_t end = from;
        while (end < list->size && list->text[end] != ',')
            end++;
        struct config_token range = config_part(list, from, end - from);
        if (!read_core_range(reader, &range, cores))
            return false;
        from = end + 1;
    }
    return true;
}

static bool read_cores(struct config_reader *reader, struct config_personality *p)
{
    struct config_token token = reader->token;

    p->cores_place = token.place;
    p->all_cores = config_token_is(&token, "all");
    p->cores = UINT64_MAX;
    if (token.kind != CONFIG_TOKEN_WORD)
        return config_fail(reader, &token, "a list of cores such as 0-3,5, or all");
    if (!p->all_cores && !read_core_list(reader, &token, &p->cores))
        return false;
    return config_next(reader);
}

static bool read_memory(struct config_reader *reader, struct config_personality *p)
{
    p->memory_place = reader->token.place;
    return read_size(reader, &p->memory);
}

static bool read_quota(struct config_reader *reader, struct config_personality *p)
{
    return read_size(reader, &p->quota);
}

static bool read_weight(struct config_reader *reader, struct config_personality *p)
{
    struct config_token token = reader->token;
    uint64_t weight = 0;
    size_t at = 0;

    if (token.kind != CONFIG_TOKEN_WORD || !scan_number(&token, &at, CONFIG_WEIGHT_MAX, &weight) || at != token.size ||
        weight == 0)
        return config_fail(reader, &token, "a weight from 1 to %d", CONFIG_WEIGHT_MAX);
    p->weight = (uint32_t)weight;
    return config_next(reader);
}

static bool read_debug(struct config_reader *reader, struct config_personality *p)
{
    p->debug = config_token_is(&reader->token, "yes");
    if (!p->debug && !config_token_is(&reader->token, "no"))
        return config_fail(reader, &reader->token, "yes or no");
    return config_next(reader);
}

static bool read_args(struct config_reader *reader, struct config_personality *p)
{
    // The command line has quotes of its own, which are only needed round blanks.
    bool bare = reader->line == 0 && reader->token.kind == CONFIG_TOKEN_WORD;

    if (reader->token.kind != CONFIG_TOKEN_STRING && !bare)
        return config_fail(reader, &reader->token, "a string in quotes");
    return read_text(reader, PV_ARGS_SIZE - 1, "a string", &p->args);
}

/// Adds a module; on the command line one of the same name is replaced.
static bool read_module(struct config_reader *reader, struct config_personality *p)
{
    struct config_token name_token = reader->token;
    struct config_module module;
    uint32_t i = 0;

    if (!config_read_name(reader, "a module's name", &module.name))
        return false;
    while (i < p->module_count && strcmp(p->modules[i].name, module.name) != 0)
        i++;
    if (i < p->module_count && reader->line != 0)
        return config_fail(reader, &name_token, "a new name: the file on line %u is called so",
                           p->modules[i].place.line);
    if (i == PV_MAX_MODULES)
        return config_fail(reader, &name_token, "at most %d modules in a personality", PV_MAX_MODULES);
    module.place = reader->token.place;
    if (!read_file(reader, &module.file))
        return false;
    p->modules[i] = module;
    if (i == p->module_count)
        p->module_count++;
    return true;
}

const struct config_key config_keys[CONFIG_KEY_COUNT] = {
    {.name = "image", .read = read_image, .text = true},
    {.name = "cores", .read = read_cores},
    {.name = "memory", .read = read_memory},
    {.name = "quota", .read = read_quota},
    {.name = "weight", .read = read_weight},
    {.name = "debug", .read = read_debug},
    {.name = "args", .read = read_args, .text = true},
    {.name = "module", .read = read_module, .repeatable = true},
};

uint32_t config_find_key(const struct config_token *token)
{
    uint32_t key = 0;

    while (key < CONFIG_KEY_COUNT && !config_token_is(token, config_keys[key].name))
        key++;
    return key;
}

bool config_fail_key(struct config_reader *reader, const struct config_token *found, const char *or_else)
{
    char names[128] = "";
    size_t used = 0;

    for (uint32_t i = 0; i < CONFIG_KEY_COUNT && used < sizeof(names); i++)
        used += pv_snprintf(names + used, sizeof(names) - used, "%s%s", i == 0 ? "" : ", ", config_keys[i].name);
    return config_fail(reader, found, "a key (%s)%s", names, or_else);
}

struct config_personality *config_find(struct config *config, const char *name)
{
    for (uint32_t i = 0; i < config->personality_count; i++) {
        if (strcmp(config->personalities[i].name, name) == 0)
            return &config->personalities[i];
    }
    return NULL;
}
