// SPDX-License-Identifier: Apache-2.0
/// The shell's commands: what they are called, what they take, and the call that one of them answers.
#ifndef POLYVISOR_MONITOR_COMMAND_H
#define POLYVISOR_MONITOR_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <polyvisor/abi.h>

#include "json.h"

enum { CALL_MAX_WORDS = 16 };

struct command;

/// One line of input, taken apart.
struct call {
    const struct pv_info *info;
    const struct command *command;
    bool json;    ///< --json was given: the answer is one line of JSON
    size_t count; ///< arguments, without the command's name and --json
    const char *arguments[CALL_MAX_WORDS];
};

struct command {
    const char *name;
    const char *arguments; ///< as shown in usage: "[CORE] NUMBER|NAME"
    const char *summary;   ///< one line
    const char *details;   ///< for `help NAME`: lines, each ending with "\n", or ""
    size_t least, most;    ///< how many arguments it takes
    bool json;             ///< takes --json
    void (*run)(const struct call *call);
    /// What argument number `argument` (from 0) could be: candidate `index`, or NULL at the end. May be NULL: nothing is known.
    const char *(*candidate)(size_t argument, size_t index);
};

/// All commands, ordered by name.
extern const struct command *const commands[];
extern const size_t command_count;

/// Answers a line of input; prints what is wrong with it otherwise.
void command_execute(const struct pv_info *info, char *text);

/// Prints "NAME: message", or {"error":"NAME: message"} for --json.
void call_fail(const struct call *call, const char *format, ...) __attribute__((format(printf, 2, 3)));
/// The same, beginning "NAME SUBJECT: ".
void call_fail_about(const struct call *call, const char *subject, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/// The same with the name of an error that the multiplexer returned.
void call_fail_error(const struct call *call, const char *what, int64_t error);

/// Begins the line of JSON, an object; call_json_end ends it.
void call_json_begin(struct json *json);
void call_json_end(struct json *json);

/// Reads an argument as a number up to a limit; says what is wrong with it otherwise.
bool call_number(const struct call *call, size_t argument, const char *what, uint64_t limit, uint64_t *value);
/// Reads an argument as the number of a core that runs; says what is wrong with it otherwise.
bool call_core(const struct call *call, size_t argument, uint32_t *core);
/// Finds the personality that an argument names; says that there is none otherwise.
const struct pv_personality_info *call_personality(const struct call *call, size_t argument);
/// Finds the vcpu that an argument of the form NAME/NUMBER names; says what is wrong with it otherwise.
const struct pv_vcpu_info *call_vcpu(const struct call *call, size_t argument);

/// Candidates for completion.
const char *candidate_command(size_t argument, size_t index);
const char *candidate_personality(size_t argument, size_t index);
const char *candidate_vcpu(size_t argument, size_t index);

#endif
