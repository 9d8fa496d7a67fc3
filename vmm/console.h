// SPDX-License-Identifier: Apache-2.0
/*
 * COM1 shared by the log and all personalities. Each has a console: a ring that keeps its newest output. The console
 * with the focus (the monitor's, or the attached one) is sent as it is; with the monitor in focus, whole lines of the
 * others are shown too, prefixed with "[name] ", between its lines or when it sits at its prompt. Sending is
 * asynchronous: a full ring drops its oldest unsent text and counts it; no core ever waits for the UART.
 */
#ifndef POLYVISOR_CONSOLE_H
#define POLYVISOR_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <polyvisor/abi.h>
#include <polyvisor/ring.h>

enum { CONSOLE_INPUT_SIZE = 1024, CONSOLE_LINE_MAX = 256 };

struct personality;

struct console {
    const char *name;          ///< prefix; NULL: none (the log)
    struct personality *owner; ///< gets input and events; NULL: the log
    struct pv_ring out;        ///< unsent: between tail and head
    struct pv_ring in;
    bool raw;        ///< line ends are as the terminal wants them
    bool wants_room; ///< a partial write was cut: signal when there is room
    char input[CONSOLE_INPUT_SIZE];
    struct console *next; ///< all consoles, a ring list, for turns
};

/// The UART and the log's console. Before anything logs.
void console_init(void);
/// Adds a console; buffer of PV_CONSOLE_SIZE bytes.
void console_add(struct console *console, struct personality *owner, const char *name, char *buffer);
/// From here on the UART interrupts (core 0). interrupts false: console_poll is called every millisecond instead.
void console_start(bool interrupts);
bool console_needs_poll(void);
/// UART interrupt or poll: moves bytes both ways.
void console_poll(void);

/// See PV_SYS_CONSOLE_WRITE; flags: enum pv_console_flags.
size_t console_write(struct console *console, const char *text, size_t size, uint32_t flags);
size_t console_read(struct console *console, char *buffer, size_t size);
/// Copies kept output from a position on (moved up to the oldest byte); returns how many bytes.
size_t console_peek(struct console *console, uint64_t *position, char *buffer, size_t size);
struct console *console_log(void);

/// The home of the focus: the monitor's console.
void console_set_home(struct console *console);
/// Gives the focus to a console until Ctrl-].
void console_attach(struct console *console);
/// The focused console's reader waits for a key (at its prompt), or no longer does.
void console_set_at_prompt(struct console *console, bool at_prompt);

/// For a panic: everything else keeps away from the UART from now on.
void console_seize(void);
/// Waits until all output is sent, bounded. For power-off and reset, by the only core that still runs.
void console_drain(void);

#endif
