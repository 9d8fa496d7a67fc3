// SPDX-License-Identifier: Apache-2.0
#include "vmm/panic.h"

#include <polyvisor/format.h>
#include <polyvisor/string.h>

#include "arch/x86/apic.h"
#include "arch/x86/core.h"
#include "arch/x86/power.h"
#include "arch/x86/uart.h"
#include "vmm/console.h"
#include "vmm/machine.h"
#include "vmm/symbols.h"
#include "vmm/version.h"

#define NOBODY UINT32_MAX // no core's id

enum {
    BACKTRACE_MAX = 32,
    LINE_SIZE = 80,
    PARK_WAIT = 10000000, // polls for the other cores to take the NMI
    DUMP_MAX = 4096,
};

static uint32_t owner = NOBODY; // core id

static void put(void *context, const char *text, size_t size)
{
    (void)context;
    for (size_t i = 0; i < size; i++) {
        if (text[i] == '\n') {
            uart_put_wait(UART_COM1, '\r');
        }
        uart_put_wait(UART_COM1, text[i]);
    }
}

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    pv_vformat(put, NULL, format, args);
    va_end(args);
}

bool panic_running(void)
{
    return __atomic_load_n(&owner, __ATOMIC_ACQUIRE) != NOBODY;
}

_Noreturn static void park(void)
{
    core_self()->stopped = true;
    for (;;) {
        cpu_interrupts_off();
        cpu_halt();
    }
}

void panic_park(struct ring0_frame *frame)
{
    core_self()->panic_frame = frame;
    park();
}

static void stop_others(void)
{
    struct core *self = core_self();
    for (uint32_t i = 0; i < core_count; i++) {
        if (&cores[i] != self && cores[i].ready) {
            apic_send_nmi(cores[i].apic_id);
        }
    }
    for (uint32_t i = 0; i < core_count; i++) {
        for (int n = 0; n < PARK_WAIT && &cores[i] != self && cores[i].ready && !cores[i].stopped; n++) {
            cpu_pause();
        }
    }
}

static void say_address(const char *lead, uint64_t address)
{
    uint64_t offset;
    const char *name = symbol_find(address, &offset);
    if (name) {
        say("%s%016lx %s+0x%lx\n", lead, address, name, offset);
    } else {
        say("%s%016lx\n", lead, address);
    }
}

/// Follows the frame pointers as long as they stay on one stack and go up.
static void backtrace(uint64_t rip, uint64_t rbp)
{
    say("backtrace:\n");
    if (rip) {
        say_address("  ", rip);
    }
    uint64_t end = (uint64_t)stack_top_of(rbp);
    for (int i = 0; i < BACKTRACE_MAX; i++) {
        uint64_t frame[2];
        if (rbp % 8 || rbp == 0 || rbp + sizeof(frame) > end || !user_copy_in(frame, rbp, sizeof(frame)) || !frame[1]) {
            break;
        }
        say_address("  ", frame[1] - 1); // the call, not what follows it
        if (frame[0] <= rbp) {
            break;
        }
        rbp = frame[0];
    }
}

static void show_frame(const struct ring0_frame *f)
{
    say("rax %016lx rbx %016lx rcx %016lx rdx %016lx\n", f->rax, f->rbx, f->rcx, f->rdx);
    say("rsi %016lx rdi %016lx rbp %016lx rsp %016lx\n", f->rsi, f->rdi, f->rbp, f->rsp);
    say("r8  %016lx r9  %016lx r10 %016lx r11 %016lx\n", f->r8, f->r9, f->r10, f->r11);
    say("r12 %016lx r13 %016lx r14 %016lx r15 %016lx\n", f->r12, f->r13, f->r14, f->r15);
    say("cs %04lx ss %04lx rflags %08lx vector %lu error %lx\n", f->cs, f->ss, f->rflags, f->vector, f->error_code);
    say_address("rip ", f->rip);
}

/// A decimal number of a core; core_count: that is none.
static uint32_t parse_core(const char *text)
{
    uint32_t value = 0;
    for (; *text >= '0' && *text <= '9' && value < core_count; text++) {
        value = value * 10 + (uint32_t)(*text - '0');
    }
    return *text || value >= core_count ? core_count : value;
}

static void command_regs(const char *argument)
{
    uint32_t wanted = *argument ? parse_core(argument) : 0;
    if (wanted >= core_count) {
        say("no core '%s': 0 to %u\n", argument, core_count - 1);
        return;
    }
    for (uint32_t i = 0; i < core_count; i++) {
        if (*argument && wanted != i) {
            continue;
        }
        say("core %u (APIC id %u)%s:\n", i, cores[i].apic_id, i == owner ? ", which panicked" : "");
        if (cores[i].panic_frame) {
            show_frame(cores[i].panic_frame);
            backtrace(cores[i].panic_frame->rip, cores[i].panic_frame->rbp);
        } else {
            say("no registers were kept\n");
        }
    }
    if (!*argument) {
        say("cr0 %lx cr2 %lx cr3 %lx cr4 %lx\n", cpu_read_cr0(), cpu_read_cr2(), cpu_read_cr3(), cpu_read_cr4());
    }
}

static uint64_t parse_hex(const char **text)
{
    uint64_t value = 0;
    const char *t = *text;
    if (t[0] == '0' && t[1] == 'x') {
        t += 2;
    }
    for (;; t++) {
        char c = *t;
        int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (digit < 0) {
            break;
        }
        value = value << 4 | (uint64_t)digit;
    }
    while (*t == ' ') {
        t++;
    }
    *text = t;
    return value;
}

static void command_mem(const char *argument)
{
    uint64_t address = parse_hex(&argument);
    uint64_t size = *argument ? parse_hex(&argument) : 64;
    for (uint64_t at = address; at - address < size && at - address < DUMP_MAX; at += 16) {
        uint64_t words[2];
        if (!user_copy_in(words, at, sizeof(words))) {
            say("%016lx is not mapped\n", at);
            return;
        }
        say("%016lx  %016lx %016lx\n", at, words[0], words[1]);
    }
}

static void command_log(void)
{
    static char chunk[256];
    uint64_t position = 0;
    size_t got;
    // Without the lock: its holder may be parked.
    while ((got = pv_ring_peek(&console_log()->out, &position, chunk, sizeof(chunk))) > 0) {
        put(NULL, chunk, got);
        position += got;
    }
}

/// Reads a line, echoing; only the simplest editing.
static void read_line(char line[LINE_SIZE])
{
    size_t used = 0;
    for (;;) {
        int c = uart_get(UART_COM1);
        if (c < 0) {
            cpu_pause();
        } else if (c == '\r' || c == '\n') {
            say("\n");
            line[used] = '\0';
            return;
        } else if ((c == 8 || c == 127) && used > 0) {
            used--;
            say("\b \b");
        } else if (c >= ' ' && c < 127 && used < LINE_SIZE - 1) {
            line[used++] = (char)c;
            say("%c", c);
        }
    }
}

static const char *argument_of(const char *line, const char *command)
{
    size_t length = strlen(command);
    if (strncmp(line, command, length) != 0 || (line[length] != '\0' && line[length] != ' ')) {
        return NULL;
    }
    return line[length] ? line + length + 1 : line + length;
}

_Noreturn static void console(void)
{
    char line[LINE_SIZE];
    say("This is the panic console: help, regs [CORE], mem ADDRESS [BYTES] (hexadecimal), log, reboot\n");
    for (;;) {
        say("panic> ");
        read_line(line);
        const char *argument;
        if ((argument = argument_of(line, "regs"))) {
            command_regs(argument);
        } else if ((argument = argument_of(line, "mem"))) {
            command_mem(argument);
        } else if (argument_of(line, "log")) {
            command_log();
        } else if (argument_of(line, "reboot")) {
            power_reset(&machine.acpi);
        } else if (argument_of(line, "help")) {
            say("regs [CORE]  mem ADDRESS [BYTES]  log  reboot\n");
        } else if (line[0]) {
            say("no such command: '%s' (help, regs, mem, log, reboot)\n", line);
        }
    }
}

_Noreturn static void run(struct ring0_frame *frame, const char *format, va_list args)
{
    cpu_interrupts_off();
    struct core *core = core_self();
    uint64_t frame_pointer = cpu_frame_pointer();
    core->panic_frame = frame;
    uint32_t nobody = NOBODY;
    if (!__atomic_compare_exchange_n(&owner, &nobody, core->id, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
        if (owner != core->id) {
            park(); // another core was first
        }
        say("\n*** panic within the panic: ");
        pv_vformat(put, NULL, format, args);
        say("\n");
        console();
    }
    console_seize();
    stop_others();
    say("\n*** Polyvisor %s: panic on core %u (APIC id %u): ", version_text, core->id, core->apic_id);
    pv_vformat(put, NULL, format, args);
    say("\n");
    if (frame) {
        show_frame(frame);
    }
    say("cr0 %lx cr2 %lx cr3 %lx cr4 %lx\n", cpu_read_cr0(), cpu_read_cr2(), cpu_read_cr3(), cpu_read_cr4());
    backtrace(frame ? frame->rip : 0, frame ? frame->rbp : frame_pointer);
    console();
}

void panic(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    run(NULL, format, args);
}

void panic_with_frame(struct ring0_frame *frame, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    run(frame, format, args);
}
