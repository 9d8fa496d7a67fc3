// SPDX-License-Identifier: Apache-2.0
/// How the shell words things: sizes, core sets, states. Pure.
#ifndef POLYVISOR_MONITOR_TEXT_H
#define POLYVISOR_MONITOR_TEXT_H

#include <stddef.h>
#include <stdint.h>

#include "json.h"

enum { TEXT_SIZE_MAX = 16, TEXT_CORES_MAX = 192, TEXT_TIME_MAX = 32, TEXT_PERCENT_MAX = 32 };

/// "4 KiB", "1.5 GiB": exact, or cut to one decimal.
void text_size(char text[TEXT_SIZE_MAX], uint64_t bytes);
/// "0-3,5", or "none".
void text_cores(char text[TEXT_CORES_MAX], uint64_t cores);
/// Thousandths that part is of whole; 0 when there is no whole.
uint64_t text_permille(uint64_t part, uint64_t whole);
/// The same as "61.2%".
void text_percent(char text[TEXT_PERCENT_MAX], uint64_t part, uint64_t whole);
/// Microseconds that so many ticks take, to the nearest; 0 when the rate is not known.
uint64_t text_microseconds(uint64_t ticks, uint64_t hz);

/// Seconds that so many ticks take: "0.004", "59.125", and from a thousand on without the fraction.
void text_seconds(char text[TEXT_TIME_MAX], uint64_t ticks, uint64_t hz);

/// The words of enum pv_core_state, pv_personality_state, pv_memory_kind and pv_policy; "unknown" for other numbers.
const char *text_core_state(uint32_t state);
const char *text_personality_state(uint32_t state);
const char *text_agent_state(uint32_t state);
const char *text_memory_kind(uint32_t kind);
const char *text_policy(uint32_t policy);
/// The name of an exception vector: "#GP general protection".
const char *text_exception(uint64_t vector);
/// The same; NULL: the vector has no name.
const char *text_exception_or_null(uint64_t vector);

/// Writes the numbers of a core set as an array.
void json_cores(struct json *json, const char *key, uint64_t cores);

#endif
