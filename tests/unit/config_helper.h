// SPDX-License-Identifier: Apache-2.0
/// What the tests of the configuration share.
#ifndef POLYVISOR_TESTS_CONFIG_HELPER_H
#define POLYVISOR_TESTS_CONFIG_HELPER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/config.h"

static struct config config;
static struct config_error error;

/// Parses a copy that ends where its memory ends, so that the address sanitizer sees every byte read too far.
static inline bool parse(const char *text, size_t size)
{
    char *exact = malloc(size != 0 ? size : 1);
    bool good;

    memcpy(exact, text, size);
    memset(&config, 0x5a, sizeof(config)); // nothing may depend on what was there
    memset(&error, 0, sizeof(error));
    good = config_parse(&config, "p.cfg", exact, size, &error);
    free(exact);
    return good;
}

static inline void accept_text(const char *text)
{
    if (!parse(text, strlen(text)))
        fail_msg("refused: %s\n%s", error.message, text);
}

static inline void refuse_bytes(const char *text, size_t size, const char *message)
{
    assert_false(parse(text, size));
    assert_string_equal(error.message, message);
}

static inline void refuse_text(const char *text, const char *message)
{
    refuse_bytes(text, strlen(text), message);
}

#endif
