// SPDX-License-Identifier: Apache-2.0
// Answers typed lines with "you said: LINE", for attach; "quit" ends it with code 0. After 60 seconds without a key it exits with
// code 1.
#include "personality.h"

PV_PERSONALITY(0);

enum { LINE_MAX = 80, PATIENCE_SECONDS = 60 };

/// Reads a line, echoing it. False when nobody types.
static bool read_line(const struct pv_info *info, char line[LINE_MAX])
{
    size_t length = 0;
    for (;;) {
        const int c = pv_console_getc(pv_tsc() + PATIENCE_SECONDS * info->tsc_hz);
        if (c < 0)
            return false;
        if (c == '\r' || c == '\n')
            break;
        if (length + 1 == LINE_MAX)
            continue;
        line[length++] = (char)c;
        pv_printf("%c", c);
    }
    line[length] = '\0';
    pv_printf("\n");
    return true;
}

int main(const struct pv_info *info, uint32_t agent)
{
    static char line[LINE_MAX];
    if (agent != 0)
        return 0;
    pv_console_lossless(true);
    while (read_line(info, line)) {
        pv_printf("you said: %s\n", line);
        if (strcmp(line, "quit") == 0)
            return 0;
    }
    pv_printf("%s: nobody there\n", info->name);
    return 1;
}
