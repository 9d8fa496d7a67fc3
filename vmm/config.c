// SPDX-License-Identifier: Apache-2.0
/// Configuration: the statements and blocks of polyvisor.cfg. Values are read in config_value.c, bytes in
/// config_lexer.c.
#include "config.h"

#include <polyvisor/string.h>

#include "config_reader.h"

/// Where each key of a block stood; line 0: it did not.
struct key_places {
    struct config_place of[CONFIG_KEY_COUNT];
};

/// What is known of the statements outside blocks until all of them were read.
struct statements {
    struct config_place slice, policy, frame, timer; ///< line 0: not there
    struct config_place policy_value;
    const char *slot_names[CONFIG_MAX_SLOTS];
};

/// Name of nobody, in a slot.
#define IDLE "idle"

static void init_personality(struct config_personality *p, const char *name, struct config_place place)
{
    memset(p, 0, sizeof(*p));
    p->name = name;
    p->args = "";
    p->cores = UINT64_MAX;
    p->all_cores = true;
    p->weight = CONFIG_WEIGHT_DEFAULT;
    // Until the block says better: what is found wrong with a default is shown at the personality's name.
    p->place = p->image_place = p->cores_place = p->memory_place = p->net_place = place;
}

uint64_t config_quota(const struct config_personality *p)
{
    const uint64_t page = 4096;

    if (p->quota != 0)
        return p->quota;
    return (CONFIG_QUOTA_BASE + p->memory / CONFIG_QUOTA_SHARE + page - 1) / page * page;
}

/// Reads what ends a statement. A '}' may follow it in the same line and is left for the block.
static bool end_statement(struct config_reader *reader, bool in_block)
{
    const struct config_token *token = &reader->token;

    if (token->kind == CONFIG_TOKEN_END)
        return config_next(reader);
    if (token->kind == CONFIG_TOKEN_EOF || (in_block && token->kind == CONFIG_TOKEN_CLOSE))
        return true;
    return config_fail(reader, token, in_block ? "';', '}' or the end of the line" : "';' or the end of the line");
}

/// The debug capability reads all memory, hence one holder, who is easily named.
static bool check_debug(struct config_reader *reader, const struct config_personality *p,
                        const struct config_token *value)
{
    struct config *config = reader->config;

    for (uint32_t i = 0; p->debug && i < config->personality_count; i++) {
        struct config_personality *other = &config->personalities[i];
        if (other != p && other->debug)
            return config_fail(reader, value, "no: personality '%s' on line %u has the debug capability", other->name,
                               other->place.line);
    }
    return true;
}

/// KEY VALUE... of a block.
static bool parse_key(struct config_reader *reader, struct config_personality *p, struct key_places *places)
{
    struct config_token token = reader->token;
    uint32_t key = config_find_key(&token);
    struct config_token value;

    if (key == CONFIG_KEY_COUNT)
        return config_fail_key(reader, &token, " or '}'");
    if (places->of[key].line != 0 && !config_keys[key].repeatable)
        return config_fail(reader, &token, "it once in a personality: it stands on line %u already",
                           places->of[key].line);
    places->of[key] = token.place;
    if (!config_next(reader))
        return false;
    value = reader->token;
    return config_keys[key].read(reader, p) && check_debug(reader, p, &value) && end_statement(reader, true);
}

/// The '}' of a block, when everything that is required was there.
static bool close_block(struct config_reader *reader, const struct config_personality *p)
{
    if (p->image == NULL)
        return config_fail(reader, &reader->token, "'image' in personality '%s'", p->name);
    if (p->memory == 0)
        return config_fail(reader, &reader->token, "'memory' in personality '%s'", p->name);
    return config_next(reader) && end_statement(reader, false);
}

static bool parse_block(struct config_reader *reader, struct config_personality *p)
{
    struct key_places places = {0};

    if (reader->token.kind != CONFIG_TOKEN_OPEN)
        return config_fail(reader, &reader->token, "'{' on the same line as 'personality %s'", p->name);
    if (!config_next(reader))
        return false;
    while (reader->token.kind != CONFIG_TOKEN_CLOSE) {
        bool good;
        if (reader->token.kind == CONFIG_TOKEN_EOF)
            good = config_fail(reader, &reader->token, "'}' for personality '%s' on line %u", p->name, p->place.line);
        else if (reader->token.kind == CONFIG_TOKEN_END)
            good = config_next(reader);
        else
            good = parse_key(reader, p, &places);
        if (!good)
            return false;
    }
    return close_block(reader, p);
}

static bool parse_personality(struct config_reader *reader)
{
    struct config *config = reader->config;
    struct config_token keyword = reader->token, token;
    struct config_personality *p;
    const char *name;

    if (config->personality_count == CONFIG_MAX_PERSONALITIES)
        return config_fail(reader, &keyword, "at most %d personalities", CONFIG_MAX_PERSONALITIES);
    if (!config_next(reader))
        return false;
    token = reader->token;
    if (!config_read_name(reader, "a personality's name", &name))
        return false;
    if (strcmp(name, IDLE) == 0)
        return config_fail(reader, &token, "another name: '%s' is nobody's, in a frame", IDLE);
    p = config_find(config, name);
    if (p != NULL)
        return config_fail(reader, &token, "a new name: the personality on line %u is called so", p->place.line);
    p = &config->personalities[config->personality_count++];
    init_personality(p, name, token.place);
    return parse_block(reader, p);
}

/// The keyword of a statement that may stand once; *place becomes where it is.
static bool parse_keyword_once(struct config_reader *reader, struct config_place *place)
{
    if (place->line != 0)
        return config_fail(reader, &reader->token, "it once: it stands on line %u already", place->line);
    *place = reader->token.place;
    return config_next(reader);
}

static bool parse_slice(struct config_reader *reader, struct statements *statements)
{
    return parse_keyword_once(reader, &statements->slice) &&
           config_read_time(reader, CONFIG_SLICE_MIN_US, &reader->config->slice_us) && end_statement(reader, false);
}

static bool parse_policy(struct config_reader *reader, struct statements *statements)
{
    if (!parse_keyword_once(reader, &statements->policy))
        return false;
    statements->policy_value = reader->token.place;
    return config_read_policy(reader, &reader->config->policy) && end_statement(reader, false);
}

static bool parse_timer(struct config_reader *reader, struct statements *statements)
{
    return parse_keyword_once(reader, &statements->timer) && config_read_timer(reader, &reader->config->lapic_timer) &&
           end_statement(reader, false);
}

/// slot NAME TIME. The name may be that of a personality further down: finish_frame looks it up.
static bool parse_slot(struct config_reader *reader, struct statements *statements)
{
    struct config *config = reader->config;
    struct config_slot *slot = &config->slots[config->slot_count];

    if (reader->token.kind == CONFIG_TOKEN_EOF)
        return config_fail(reader, &reader->token, "'}' for the frame on line %u", statements->frame.line);
    if (!config_token_is(&reader->token, "slot"))
        return config_fail(reader, &reader->token, "'slot' or '}'");
    if (config->slot_count == CONFIG_MAX_SLOTS)
        return config_fail(reader, &reader->token, "at most %d slots", CONFIG_MAX_SLOTS);
    if (!config_next(reader))
        return false;
    slot->personality = CONFIG_IDLE;
    slot->place = reader->token.place;
    if (!config_read_name(reader, "a personality's name or " IDLE, &statements->slot_names[config->slot_count]) ||
        !config_read_time(reader, CONFIG_SLOT_MIN_US, &slot->us))
        return false;
    config->slot_count++;
    return end_statement(reader, true);
}

static bool parse_frame(struct config_reader *reader, struct statements *statements)
{
    if (!parse_keyword_once(reader, &statements->frame))
        return false;
    if (reader->token.kind != CONFIG_TOKEN_OPEN)
        return config_fail(reader, &reader->token, "'{' on the same line as 'frame'");
    if (!config_next(reader))
        return false;
    while (reader->token.kind != CONFIG_TOKEN_CLOSE) {
        bool good = reader->token.kind == CONFIG_TOKEN_END ? config_next(reader) : parse_slot(reader, statements);
        if (!good)
            return false;
    }
    if (reader->config->slot_count == 0)
        return config_fail(reader, &reader->token, "a slot in the frame");
    return config_next(reader) && end_statement(reader, false);
}

/// When all personalities are known: whose each slot is.
static bool finish_frame(struct config_reader *reader, const struct statements *statements)
{
    struct config *config = reader->config;

    for (uint32_t i = 0; i < config->slot_count; i++) {
        const char *name = statements->slot_names[i];
        const struct config_personality *p = config_find(config, name);
        if (p == NULL && strcmp(name, IDLE) != 0)
            return config_report(reader->error, reader->file, config->slots[i].place,
                                 "found '%s', expected the name of a personality, or %s", name, IDLE);
        config->slots[i].personality = p != NULL ? (uint32_t)(p - config->personalities) : CONFIG_IDLE;
    }
    if (config->policy == PV_POLICY_FRAME && config->slot_count == 0)
        return config_report(reader->error, reader->file, statements->policy_value,
                             "found 'frame', expected weighted, or a table: frame { slot NAME TIME ... }");
    return true;
}

static bool parse_statement(struct config_reader *reader, struct statements *statements)
{
    if (reader->token.kind == CONFIG_TOKEN_END)
        return config_next(reader);
    if (config_token_is(&reader->token, "personality"))
        return parse_personality(reader);
    if (config_token_is(&reader->token, "slice"))
        return parse_slice(reader, statements);
    if (config_token_is(&reader->token, "policy"))
        return parse_policy(reader, statements);
    if (config_token_is(&reader->token, "frame"))
        return parse_frame(reader, statements);
    if (config_token_is(&reader->token, "timer"))
        return parse_timer(reader, statements);
    return config_fail(reader, &reader->token, "'personality', 'slice', 'policy', 'frame' or 'timer'");
}

static bool parse_statements(struct config_reader *reader)
{
    struct statements statements = {0};

    while (reader->token.kind != CONFIG_TOKEN_EOF) {
        if (!parse_statement(reader, &statements))
            return false;
    }
    if (reader->config->personality_count == 0)
        return config_fail(reader, &reader->token, "at least one personality");
    return finish_frame(reader, &statements);
}

/// Editors on other systems put a byte order mark in front, which no line shows and no column counts.
static void skip_bom(struct config_reader *reader)
{
    if (reader->size >= 3 && memcmp(reader->text, "\xef\xbb\xbf", 3) == 0)
        reader->at = reader->line_start = 3;
}

bool config_parse(struct config *config, const char *file, const char *text, size_t size, struct config_error *error)
{
    struct config_reader reader = {
        .config = config, .error = error, .file = file, .text = text, .size = size, .line = 1};
    struct config_place start = {.line = 1, .column = 1};

    config->slice_us = CONFIG_SLICE_DEFAULT_US;
    config->policy = PV_POLICY_WEIGHTED;
    config->lapic_timer = false;
    config->slot_count = 0;
    config->personality_count = 0;
    config->file_count = 0;
    config->strings_used = 0;
    if (size > CONFIG_MAX_TEXT)
        return config_report(error, file, start, "found more than %d bytes of text, expected at most that",
                             CONFIG_MAX_TEXT);
    skip_bom(&reader);
    return config_next(&reader) && parse_statements(&reader);
}
