// SPDX-License-Identifier: Apache-2.0
/// Configuration: what the boot command line changes. Overrides are read first into scratch, to find every error while
/// the configuration is still as it was, then for good.
#include <polyvisor/string.h>

#include "config_reader.h"

/// A word of the command line: [start, end) as offsets, quotes included. Blanks inside quotes do not end it.
struct word {
    size_t start, end;
    size_t equals; ///< offset of the first '=', or end when there is none
};

/// Which personalities would have the debug capability, and the word that gave it last.
struct debug_holders {
    bool has[CONFIG_MAX_PERSONALITIES];
    struct config_token last;
};

/// What happens to the words while they are read once.
enum pass_kind {
    PASS_EACH,     ///< each is checked by itself, in order
    PASS_TOGETHER, ///< those about one personality are checked together: some add up
    PASS_APPLY,    ///< they are applied
};

struct pass {
    enum pass_kind kind;
    struct debug_holders holders;           ///< PASS_EACH: noted
    const struct config_personality *about; ///< PASS_TOGETHER: words about others are skipped
    struct config_personality scratch;      ///< takes the values that are not applied
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/// Finds the word at or behind offset `from`. False: there is none.
static bool next_word(const char *cmdline, size_t from, struct word *word)
{
    bool quoted = false, seen_equals = false;
    size_t at = from;

    while (is_blank(cmdline[at]))
        at++;
    word->start = at;
    for (; cmdline[at] != '\0' && (quoted || !is_blank(cmdline[at])); at++) {
        if (cmdline[at] == '"')
            quoted = !quoted;
        else if (quoted && cmdline[at] == '\\' && cmdline[at + 1] != '\0')
            at++;
        else if (!quoted && cmdline[at] == '=' && !seen_equals) {
            word->equals = at;
            seen_equals = true;
        }
    }
    word->end = at;
    if (!seen_equals)
        word->equals = at;
    return word->end > word->start;
}

/// Copies a word's value without quotes and escapes. False when it does not fit.
static bool copy_value(const char *cmdline, const struct word *word, char *value, size_t size)
{
    bool quoted = false;
    size_t used = 0;

    for (size_t at = word->equals + 1; at < word->end; at++) {
        if (cmdline[at] == '"') {
            quoted = !quoted;
            continue;
        }
        if (quoted && cmdline[at] == '\\' && at + 1 < word->end)
            at++;
        if (used + 1 >= size)
            return false;
        value[used++] = cmdline[at];
    }
    if (size == 0)
        return false;
    value[used] = '\0';
    return true;
}

bool config_option(const char *cmdline, const char *key, char *value, size_t size)
{
    size_t key_size = strlen(key);
    struct word word, found = {0};
    bool any = false;

    // The last one counts: people append to command lines.
    for (size_t at = 0; next_word(cmdline, at, &word); at = word.end) {
        if (word.equals < word.end && word.equals - word.start == key_size &&
            memcmp(cmdline + word.start, key, key_size) == 0) {
            found = word;
            any = true;
        }
    }
    return any && copy_value(cmdline, &found, value, size);
}

/// The part of the command line from an offset on, as a token for messages.
static struct config_token token_at(const char *cmdline, size_t start, size_t end)
{
    return (struct config_token){
        .kind = CONFIG_TOKEN_WORD,
        .text = cmdline + start,
        .size = end - start,
        .place = {.line = 0, .column = (uint32_t)start + 1},
    };
}

/// Lets the reader read a word's value: all of it, or for values that are no strings what stands between its quotes.
static bool begin_value(struct config_reader *reader, const struct word *word, bool keep_quotes)
{
    reader->at = word->equals + 1;
    reader->size = word->end;
    if (!keep_quotes && word->end - reader->at >= 2 && reader->text[reader->at] == '"' &&
        reader->text[word->end - 1] == '"') {
        reader->at++;
        reader->size--;
    }
    return config_next(reader);
}

static bool end_value(struct config_reader *reader)
{
    if (reader->token.kind != CONFIG_TOKEN_EOF)
        return config_fail(reader, &reader->token, "the end of the value");
    return true;
}

static struct config_personality *find_by_token(struct config *config, const struct config_token *name)
{
    for (uint32_t i = 0; i < config->personality_count; i++) {
        struct config_personality *p = &config->personalities[i];
        if (config_token_is(name, p->name))
            return p;
    }
    return NULL;
}

/// NAME.KEY=VALUE, the last dot being at offset `dot`.
static bool override_key(struct config_reader *reader, const struct word *word, size_t dot, struct pass *pass)
{
    struct config_token name = token_at(reader->text, word->start, dot);
    struct config_token key_name = token_at(reader->text, dot + 1, word->equals);
    struct config_personality *p, *into;
    uint32_t key = config_find_key(&key_name);
    struct config_token value;

    if (pass->kind == PASS_TOGETHER && !config_token_is(&name, pass->about->name))
        return true;
    p = find_by_token(reader->config, &name);
    if (p == NULL)
        return config_fail(reader, &name, "the name of a personality before '.'");
    if (key == CONFIG_KEY_COUNT)
        return config_fail_key(reader, &key_name, "");
    if (!begin_value(reader, word, config_keys[key].text))
        return false;
    value = reader->token;
    into = pass->kind == PASS_APPLY ? p : &pass->scratch;
    if (pass->kind == PASS_EACH)
        pass->scratch = *p;
    if (!config_keys[key].read(reader, into) || !end_value(reader))
        return false;
    if (pass->kind == PASS_EACH && strcmp(config_keys[key].name, "debug") == 0) {
        pass->holders.has[p - reader->config->personalities] = into->debug;
        pass->holders.last = into->debug ? value : pass->holders.last;
    }
    return true;
}

static bool override_slice(struct config_reader *reader, const struct word *word, const struct pass *pass)
{
    uint32_t slice_us;

    if (!begin_value(reader, word, false) || !config_read_time(reader, CONFIG_SLICE_MIN_US, &slice_us) ||
        !end_value(reader))
        return false;
    if (pass->kind == PASS_APPLY)
        reader->config->slice_us = slice_us;
    return true;
}

static bool override_policy(struct config_reader *reader, const struct word *word, const struct pass *pass)
{
    enum pv_policy policy;
    struct config_token value;

    if (!begin_value(reader, word, false))
        return false;
    value = reader->token;
    if (!config_read_policy(reader, &policy) || !end_value(reader))
        return false;
    if (policy == PV_POLICY_FRAME && reader->config->slot_count == 0)
        return config_fail(reader, &value, "weighted: the configuration has no frame");
    if (pass->kind == PASS_APPLY)
        reader->config->policy = policy;
    return true;
}

static bool override_timer(struct config_reader *reader, const struct word *word, const struct pass *pass)
{
    bool lapic;

    if (!begin_value(reader, word, false) || !config_read_timer(reader, &lapic) || !end_value(reader))
        return false;
    if (pass->kind == PASS_APPLY)
        reader->config->lapic_timer = lapic;
    return true;
}

static bool override_words(struct config_reader *reader, struct pass *pass)
{
    struct word word;

    for (size_t at = 0; next_word(reader->text, at, &word); at = word.end) {
        struct config_token key = token_at(reader->text, word.start, word.equals);
        size_t dot = word.equals;
        bool good = true;

        if (word.equals == word.end)
            continue;
        while (dot > word.start && reader->text[dot] != '.')
            dot--;
        if (config_token_is(&key, "slice"))
            good = override_slice(reader, &word, pass);
        else if (config_token_is(&key, "policy"))
            good = override_policy(reader, &word, pass);
        else if (config_token_is(&key, "timer"))
            good = override_timer(reader, &word, pass);
        else if (reader->text[dot] == '.')
            good = override_key(reader, &word, dot, pass);
        if (!good)
            return false;
    }
    return true;
}

/// Fails when more than one personality would have the debug capability.
static bool check_holders(struct config_reader *reader, const struct debug_holders *holders)
{
    const struct config_personality *first = NULL;

    for (uint32_t i = 0; i < reader->config->personality_count; i++) {
        if (!holders->has[i])
            continue;
        if (first != NULL)
            return config_fail(reader, &holders->last,
                               "no: personalities '%s' and '%s' would have the debug capability", first->name,
                               reader->config->personalities[i].name);
        first = &reader->config->personalities[i];
    }
    return true;
}

/// Finds every error. What it puts into strings and files is the caller's to take out again.
static bool check_words(struct config_reader *reader, struct pass *pass)
{
    struct config *config = reader->config;
    size_t strings_used = config->strings_used;

    pass->kind = PASS_EACH;
    for (uint32_t i = 0; i < config->personality_count; i++)
        pass->holders.has[i] = config->personalities[i].debug;
    if (!override_words(reader, pass) || !check_holders(reader, &pass->holders))
        return false;
    pass->kind = PASS_TOGETHER;
    config->strings_used = strings_used;
    for (uint32_t i = 0; i < config->personality_count; i++) {
        pass->about = &config->personalities[i];
        pass->scratch = *pass->about;
        if (!override_words(reader, pass))
            return false;
    }
    return true;
}

/// Lists the files anew: an image or module that was replaced need not be loaded.
static void relist_files(struct config *config)
{
    config->file_count = 0;
    for (uint32_t i = 0; i < config->personality_count; i++) {
        const struct config_personality *p = &config->personalities[i];
        config_list_file(config, p->image);
        for (uint32_t m = 0; m < p->module_count; m++)
            config_list_file(config, p->modules[m].file);
    }
}

bool config_override(struct config *config, const char *cmdline, struct config_error *error)
{
    struct config_reader reader = {
        .config = config, .error = error, .file = CONFIG_COMMAND_LINE, .text = cmdline, .size = strlen(cmdline)};
    size_t strings_used = config->strings_used;
    uint32_t file_count = config->file_count;
    struct pass pass = {0};
    bool good = check_words(&reader, &pass);

    // Strings and files were only appended: forgetting them leaves the configuration as it was.
    config->strings_used = strings_used;
    config->file_count = file_count;
    if (!good)
        return false;
    pass.kind = PASS_APPLY;
    if (!override_words(&reader, &pass))
        return false; // cannot happen: nothing changed since it was checked
    relist_files(config);
    return true;
}
