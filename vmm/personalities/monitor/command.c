// SPDX-License-Identifier: Apache-2.0
#include "command.h"

#include "out.h"
#include "parse.h"
#include "personality.h"
#include "query.h"

static const struct command *find(const char *name)
{
    for (size_t i = 0; i < command_count; i++)
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    return NULL;
}

/// Cuts text into words at spaces; the words stay in text. Returns how many there are, which may be more than fit.
static size_t split(char *text, const char *words[], size_t room)
{
    size_t count = 0;
    for (;;) {
        while (*text == ' ' || *text == '\t')
            *text++ = '\0';
        if (*text == '\0')
            return count;
        if (count < room)
            words[count] = text;
        count++;
        while (*text != '\0' && *text != ' ' && *text != '\t')
            text++;
    }
}

static void begin_error(const struct call *call, struct json *json)
{
    json_init(json, out_sink, NULL);
    if (!call->json)
        return;
    json_open(json, NULL, '{');
    json_begin_text(json, "error");
}

static void end_error(const struct call *call, struct json *json)
{
    if (call->json) {
        json_end_text(json);
        json_close(json, '}');
    }
    out("\n");
}

/// A pv_sink that escapes for JSON.
static void json_sink(void *context, const char *text, size_t size)
{
    json_text(context, text, size);
}

/// Prints "NAME: message" or "NAME SUBJECT: message".
static void fail(const struct call *call, const char *subject, const char *format, va_list args)
{
    struct json json;
    begin_error(call, &json);
    pv_sink *sink = call->json ? json_sink : out_sink;
    pv_format(sink, &json, "%s%s%s: ", call->command->name, subject != NULL ? " " : "", subject != NULL ? subject : "");
    pv_vformat(sink, &json, format, args);
    end_error(call, &json);
}

void call_fail(const struct call *call, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fail(call, NULL, format, args);
    va_end(args);
}

void call_fail_about(const struct call *call, const char *subject, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fail(call, subject, format, args);
    va_end(args);
}

void call_fail_error(const struct call *call, const char *what, int64_t error)
{
    call_fail(call, "%s: the multiplexer answered %s (%ld)", what, pv_error_name(error), error);
}

void call_json_begin(struct json *json)
{
    json_init(json, out_sink, NULL);
    json_open(json, NULL, '{');
}

void call_json_end(struct json *json)
{
    json_close(json, '}');
    out("\n");
}

bool call_number(const struct call *call, size_t argument, const char *what, uint64_t limit, uint64_t *value)
{
    const char *text = call->arguments[argument];
    if (!pv_parse_number(text, value)) {
        call_fail(call, "%s '%s': expected a decimal number, or a hexadecimal one after 0x", what, text);
        return false;
    }
    if (*value > limit) {
        call_fail(call, "%s %s is too large: at most 0x%lx", what, text, limit);
        return false;
    }
    return true;
}

bool call_core(const struct call *call, size_t argument, uint32_t *core)
{
    uint64_t number;
    if (!call_number(call, argument, "core", PV_MAX_CORES - 1, &number))
        return false;
    const struct pv_core_info *found = query_core(number);
    if (found == NULL) {
        call_fail(call, "there is no core %lu; cores lists them", number);
        return false;
    }
    if (found->state == PV_CORE_ABSENT) {
        call_fail(call, "core %lu does not run: %s", number, found->why);
        return false;
    }
    *core = (uint32_t)number;
    return true;
}

const struct pv_personality_info *call_personality(const struct call *call, size_t argument)
{
    const struct pv_personality_info *found = query_personality(call->arguments[argument]);
    if (found == NULL)
        call_fail(call, "there is no personality '%s'; ps lists them", call->arguments[argument]);
    return found;
}

const struct pv_vcpu_info *call_vcpu(const struct call *call, size_t argument)
{
    const char *text = call->arguments[argument];
    size_t name_size, left_out;
    uint32_t number;
    if (!parse_vcpu(text, &name_size, &number)) {
        call_fail(call, "'%s' is no vcpu: expected NAME/NUMBER, such as tiny/0; vcpus lists them", text);
        return NULL;
    }
    const struct pv_vcpu_info *list;
    const size_t count = query_vcpus(&list, &left_out);
    for (size_t i = 0; i < count; i++)
        if (list[i].vcpu == number && strlen(list[i].name) == name_size && memcmp(list[i].name, text, name_size) == 0)
            return &list[i];
    call_fail(call, "there is no vcpu '%s'; vcpus lists them", text);
    return NULL;
}

/// Moves the options out of the arguments. False, with a message, at one that the command does not know.
static bool take_options(struct call *call)
{
    const char *unknown = NULL;
    size_t kept = 0;
    for (size_t i = 0; i < call->count; i++) {
        const char *word = call->arguments[i];
        if (word[0] != '-')
            call->arguments[kept++] = word;
        else if (!call->command->json || strcmp(word, "--json") != 0)
            unknown = word;
    }
    call->count = kept;
    if (unknown != NULL)
        call_fail(call, "does not know the option '%s'%s", unknown, call->command->json ? "; it knows --json" : "");
    return unknown == NULL;
}

static bool check_count(const struct call *call)
{
    const struct command *command = call->command;
    if (call->count >= command->least && call->count <= command->most)
        return true;
    const char *usage = command->arguments[0] != '\0' ? command->arguments : "no arguments";
    if (call->count < command->least)
        call_fail(call, "needs more arguments: %s %s", command->name, usage);
    else
        call_fail(call, "has no use for '%s': it takes %s", call->arguments[command->most], usage);
    return false;
}

/// JSON is for programs, which press no keys to see the next page.
static bool wants_json(const char *const words[], size_t count)
{
    for (size_t i = 1; i < count; i++)
        if (strcmp(words[i], "--json") == 0)
            return true;
    return false;
}

void command_execute(const struct pv_info *info, char *text)
{
    const char *words[CALL_MAX_WORDS + 1];
    const size_t count = split(text, words, CALL_MAX_WORDS + 1);
    if (count == 0)
        return;
    struct call call = {.info = info, .command = find(words[0])};
    call.json = wants_json(words, count < CALL_MAX_WORDS ? count : CALL_MAX_WORDS);
    out_begin(!call.json);
    if (call.command == NULL) {
        const struct command unknown = {.name = words[0]};
        call.command = &unknown;
        call_fail(&call, "no such command; help lists them");
    } else if (count > CALL_MAX_WORDS) {
        call_fail(&call, "more than %d words", CALL_MAX_WORDS);
    } else {
        call.count = count - 1;
        memcpy(call.arguments, words + 1, call.count * sizeof(words[0]));
        if (take_options(&call) && check_count(&call))
            call.command->run(&call);
    }
    out_end();
}

const char *candidate_command(size_t argument, size_t index)
{
    return argument == 0 && index < command_count ? commands[index]->name : NULL;
}

const char *candidate_personality(size_t argument, size_t index)
{
    static const struct pv_personality_info *list;
    static size_t count;
    if (argument != 0)
        return NULL;
    if (index == 0) // the beginning of an enumeration: see what there is now
        count = query_personalities(&list);
    return index < count ? list[index].name : NULL;
}

const char *candidate_vcpu(size_t argument, size_t index)
{
    enum { NUMBER_SIZE = 12 };
    static char names[QUERY_MAX_VCPUS][PV_NAME_SIZE + NUMBER_SIZE];
    static size_t count;
    if (argument != 0)
        return NULL;
    if (index == 0) {
        const struct pv_vcpu_info *list;
        size_t left_out;
        count = query_vcpus(&list, &left_out);
        for (size_t i = 0; i < count; i++)
            pv_snprintf(names[i], sizeof(names[i]), "%s/%u", list[i].name, list[i].vcpu);
    }
    return index < count ? names[index] : NULL;
}
