// SPDX-License-Identifier: Apache-2.0
/// Configuration: the keys of a personality and their values.
#include "config_reader.h"

#include <polyvisor/format.h>
#include <polyvisor/string.h>

bool config_read_policy(struct config_reader *reader, enum pv_policy *policy)
{
    bool frame = config_token_is(&reader->token, "frame");

    if (!frame && !config_token_is(&reader->token, "weighted"))
        return config_fail(reader, &reader->token, "weighted or frame");
    *policy = frame ? PV_POLICY_FRAME : PV_POLICY_WEIGHTED;
    return config_next(reader);
}

bool config_read_timer(struct config_reader *reader, bool *lapic)
{
    *lapic = config_token_is(&reader->token, "lapic");
    if (!*lapic && !config_token_is(&reader->token, "vmx"))
        return config_fail(reader, &reader->token, "vmx or lapic");
    return config_next(reader);
}

static bool read_image(struct config_reader *reader, struct config_personality *p)
{
    p->image_place = reader->token.place;
    return config_read_file(reader, &p->image);
}

/// One element of a core list, N or N-M.
static bool read_core_range(struct config_reader *reader, const struct config_token *range, uint64_t *cores)
{
    uint64_t first, last, mask;
    size_t at = 0;
    bool good = config_scan_number(range, &at, PV_MAX_CORES - 1, &first);

    last = first;
    if (good && at < range->size && range->text[at] == '-') {
        at++;
        good = config_scan_number(range, &at, PV_MAX_CORES - 1, &last);
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
    return config_read_size(reader, &p->memory);
}

static bool read_quota(struct config_reader *reader, struct config_personality *p)
{
    return config_read_size(reader, &p->quota);
}

static bool read_weight(struct config_reader *reader, struct config_personality *p)
{
    struct config_token token = reader->token;
    uint64_t weight = 0;
    size_t at = 0;

    if (token.kind != CONFIG_TOKEN_WORD || !config_scan_number(&token, &at, CONFIG_WEIGHT_MAX, &weight) ||
        at != token.size || weight == 0)
        return config_fail(reader, &token, "a weight from 1 to %d", CONFIG_WEIGHT_MAX);
    p->weight = (uint32_t)weight;
    return config_next(reader);
}

static bool read_debug(struct config_reader *reader, struct config_personality *p)
{
    p->baseline = config_token_is(&reader->token, "baseline");
    p->debug = p->baseline || config_token_is(&reader->token, "yes");
    if (!p->debug && !config_token_is(&reader->token, "no"))
        return config_fail(reader, &reader->token, "yes, no or baseline");
    return config_next(reader);
}

static bool read_args(struct config_reader *reader, struct config_personality *p)
{
    // The command line has quotes of its own, which are only needed round blanks.
    bool bare = reader->line == 0 && reader->token.kind == CONFIG_TOKEN_WORD;

    if (reader->token.kind != CONFIG_TOKEN_STRING && !bare)
        return config_fail(reader, &reader->token, "a string in quotes");
    return config_read_text(reader, PV_ARGS_SIZE - 1, "a string", &p->args);
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
    if (!config_read_file(reader, &module.file))
        return false;
    p->modules[i] = module;
    if (i == p->module_count)
        p->module_count++;
    return true;
}

static bool read_net(struct config_reader *reader, struct config_personality *p)
{
    p->net_place = reader->token.place;
    return config_read_name(reader, "the name of a virtual switch", &p->net);
}

static bool read_on_exit(struct config_reader *reader, struct config_personality *p)
{
    p->restart = config_token_is(&reader->token, "restart");
    if (!p->restart && !config_token_is(&reader->token, "park"))
        return config_fail(reader, &reader->token, "park or restart");
    return config_next(reader);
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
    {.name = "msr", .read = config_read_msr, .repeatable = true},
    {.name = "io", .read = config_read_io, .repeatable = true},
    {.name = "net", .read = read_net},
    {.name = "on_exit", .read = read_on_exit},
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
