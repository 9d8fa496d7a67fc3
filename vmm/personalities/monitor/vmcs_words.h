// SPDX-License-Identifier: Apache-2.0
/// What the value of a VMCS field means, in the SDM's words. Pure.
#ifndef POLYVISOR_MONITOR_VMCS_WORDS_H
#define POLYVISOR_MONITOR_VMCS_WORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { VMCS_WORDS_MAX = 72, VMCS_WORDS_SIZE = 3072 };

/// A list of short texts; each says one thing: "DPL 0". What does not fit is left out.
struct vmcs_words {
    size_t count;
    const char *word[VMCS_WORDS_MAX];
    size_t used;
    char text[VMCS_WORDS_SIZE];
};

/// Adds one to the list.
void vmcs_words_add(struct vmcs_words *words, const char *format, ...) __attribute__((format(printf, 2, 3)));

/// Says what a value means; nothing where it is just a number. exit_reason is the field of that name in the same VMCS: what an exit
/// qualification means depends on it.
void vmcs_words_decode(struct vmcs_words *words, uint32_t field, uint64_t value, uint32_t exit_reason);

/// Whether a field consists of flags, and the name of one; NULL: that bit has none here.
bool vmcs_has_flags(uint32_t field);
const char *vmcs_flag_name(uint32_t field, unsigned bit);

/// Adds what an exit qualification means (SDM Vol. 3C 28.2.1).
void vmcs_words_qualification(struct vmcs_words *words, uint64_t value, uint32_t exit_reason);
/// Adds what the access rights of a segment mean (SDM Vol. 3C table 25-2).
void vmcs_words_access_rights(struct vmcs_words *words, uint32_t value);

#endif
