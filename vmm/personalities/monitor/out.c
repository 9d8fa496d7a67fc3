// SPDX-License-Identifier: Apache-2.0
#include "out.h"

#include "pager.h"
#include "personality.h"
#include "terminal.h"

enum { BUFFER_SIZE = 4096, ROWS = 24, COLUMNS = 80, CTRL_C = 3 };

struct out_settings out_settings = {.pager = true, .rows = ROWS, .columns = COLUMNS};

/// Output is collected to make one system call of many small pieces.
static char buffer[BUFFER_SIZE];
static size_t used;
static bool stopped;
static struct pager pager;

static void flush(void)
{
    pv_write(buffer, used);
    used = 0;
}

static void collect(const char *text, size_t size)
{
    while (size > 0) {
        const size_t room = sizeof(buffer) - used;
        const size_t taken = size < room ? size : room;
        memcpy(buffer + used, text, taken);
        used += taken;
        text += taken;
        size -= taken;
        if (used == sizeof(buffer))
            flush();
    }
}

/// Shows "--more--" until the reader says how to go on: space a page, Enter a line, q or Ctrl-C no more.
static void ask(void)
{
    static const char question[] = "--more-- (space: page, Enter: line, q: stop)";
    static const char erase[] = "\r\x1b[K";
    flush();
    // Who types ahead, or feeds commands from a script, does not read along.
    if (terminal_has_input()) {
        pager.page = 0;
        return;
    }
    pv_write(question, sizeof(question) - 1);
    for (;;) {
        const int key = terminal_read();
        if (key == TERMINAL_REDRAW) {
            pv_write(erase, sizeof(erase) - 1);
            pv_write(question, sizeof(question) - 1);
            continue;
        }
        if (key == ' ')
            pager_more(&pager, pager.page);
        else if (key == '\r' || key == '\n')
            pager_more(&pager, 1);
        else if (key == 'q' || key == 'Q' || key == CTRL_C || key == TERMINAL_FAILED)
            stopped = true;
        else
            continue;
        pv_write(erase, sizeof(erase) - 1);
        return;
    }
}

void out_begin(bool paged)
{
    stopped = false;
    used = 0;
    pager = (struct pager){.columns = out_settings.columns};
    if (paged && out_settings.pager && out_settings.rows > 1)
        pager.page = out_settings.rows - 1;
}

void out_sink(void *context, const char *text, size_t size)
{
    (void)context;
    while (size > 0 && !stopped) {
        if (pager_full(&pager))
            ask();
        if (stopped)
            return;
        const size_t taken = pager_take(&pager, text, size);
        collect(text, taken);
        text += taken;
        size -= taken;
    }
}

void out(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    pv_vformat(out_sink, NULL, format, args);
    va_end(args);
}

bool out_stopped(void)
{
    return stopped;
}

void out_end(void)
{
    flush();
}
