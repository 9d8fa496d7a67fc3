// SPDX-License-Identifier: Apache-2.0
/// Sessions with the shell against the pretended multiplexer: type, and look at what was printed.
#ifndef POLYVISOR_TESTS_SHELL_SESSION_H
#define POLYVISOR_TESTS_SHELL_SESSION_H

#include "fake_multiplexer.h"

/// A cmocka set-up function: the machine of fake_reset(), a terminal of 24 rows and 80 columns.
int shell_set_up(void **state);

/// Starts the shell, types, and returns all that it printed.
const char *session(const char *typed);

/// Types words and ends of lines at random, in many sessions.
void type_at_random(const char *const *words, size_t count, int rounds, uint64_t seed);

/// What one command printed: between the line that was echoed and the next prompt.
const char *answer(const char *command);

/// Expects a command's answer to contain a text, or not to.
void expect(const char *command, const char *expected);
void expect_not(const char *command, const char *unexpected);
/// Expects an answer of one line of valid JSON that contains a text.
void expect_json(const char *command, const char *expected);

/// Expects what the last session printed to contain a text, or not to.
void expect_printed(const char *expected);
void expect_not_printed(const char *unexpected);

#endif
