// SPDX-License-Identifier: Apache-2.0
#include "shell.h"

#include "banner.h"
#include "command.h"
#include "line.h"
#include "out.h"
#include "personality.h"
#include "terminal.h"

static struct line_editor editor;
static uint64_t first_prompt;

uint64_t shell_first_prompt(void)
{
    return first_prompt;
}

static void terminal_sink(void *context, const char *text, size_t size)
{
    (void)context;
    pv_write(text, size);
}

/// The commands first, then what the command that stands there takes.
static const char *complete(void *context, const char *before, size_t size, size_t index)
{
    (void)context;
    size_t words = 0;
    size_t name_size = 0;
    const char *name = before;
    for (size_t i = 0; i < size; i++) {
        if (before[i] == ' ' || (i > 0 && before[i - 1] != ' '))
            continue;
        if (words++ == 0)
            name = before + i;
    }
    if (words == 0)
        return candidate_command(0, index);
    while (name + name_size < before + size && name[name_size] != ' ')
        name_size++;
    for (size_t i = 0; i < command_count; i++) {
        const struct command *command = commands[i];
        if (strlen(command->name) != name_size || strncmp(command->name, name, name_size) != 0)
            continue;
        if (command->json && index-- == 0)
            return "--json";
        return command->candidate == NULL ? NULL : command->candidate(words - 1, index);
    }
    return NULL;
}

/// Reads a line into the editor. False when the input failed.
static bool read_line(void)
{
    editor.columns = out_settings.columns;
    line_begin(&editor);
    if (first_prompt == 0)
        first_prompt = pv_tsc();
    for (;;) {
        const int byte = terminal_read();
        if (byte == TERMINAL_FAILED)
            return false;
        if (byte == TERMINAL_REDRAW) {
            line_redraw(&editor);
            continue;
        }
        switch (line_feed(&editor, (unsigned char)byte)) {
        case LINE_EDITING:
            continue;
        case LINE_READY:
            return true;
        case LINE_END:
            pv_printf("The shell does not end; poweroff and reboot do.\n");
            break;
        case LINE_DROPPED:
            break;
        }
        line_begin(&editor);
    }
}

void shell_run(const struct pv_info *info)
{
    line_init(&editor, "polyvisor> ", out_settings.columns, terminal_sink, complete, NULL);
    banner_print(info);
    while (read_line())
        command_execute(info, editor.text);
}
