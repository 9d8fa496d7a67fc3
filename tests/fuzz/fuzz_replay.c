// SPDX-License-Identifier: Apache-2.0
// What a terminal sees again of a guest's output: what has passed passes again as it is, and has none of the questions in it.
// links: vmm/replay.c vmm/lib/string.c
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/replay.h"

static size_t filter(const char *text, size_t size, char *out)
{
    struct replay replay = {0};
    size_t used = 0;
    for (size_t i = 0; i < size; i++) {
        char passing[REPLAY_HELD];
        const size_t count = replay_byte(&replay, text[i], passing);
        if (count > sizeof(passing))
            abort();
        memcpy(out + used, passing, count);
        used += count;
    }
    return used;
}

/// A control sequence with one of these last bytes is a question, or may be one.
static bool asks(const char *text, size_t size)
{
    for (size_t i = 0; i + 2 < size; i++) {
        if (text[i] != '\033' || text[i + 1] != '[')
            continue;
        size_t last = i + 2;
        while (last < size && text[last] >= ' ' && text[last] < '@')
            last++;
        if (last < size && text[last] != '\0' && strchr("nctxqpwyi|", text[last]) != NULL)
            return true;
    }
    return memchr(text, '\x05', size) != NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *once = malloc(size + 1), *twice = malloc(size + 1); // no byte comes out that did not go in
    const size_t passed = filter((const char *)data, size, once);
    if (passed > size || asks(once, passed) || filter(once, passed, twice) != passed ||
        memcmp(once, twice, passed) != 0)
        abort();
    free(once);
    free(twice);
    return 0;
}
