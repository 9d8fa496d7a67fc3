// SPDX-License-Identifier: Apache-2.0
#include "machine.h"

#include <polyvisor/string.h>

enum { UART_IRQ = 4, PIT_IRQ = 0, OVERHEAD = 2 << 20, FLUSHES_PER_SECOND = 100 };

struct machine machine;

/* ---- the lock ---- */

void machine_lock(void)
{
    enum { SPINS = 1000 };
    for (uint32_t i = 0; atomic_exchange(&machine.locked, true); i++) {
        if (i % SPINS == SPINS - 1)
            pv_yield(); // its holder may be waiting for this core
        __asm__ volatile("pause");
    }
}

void machine_unlock(void)
{
    atomic_store(&machine.locked, false);
}

void machine_end(int code)
{
    machine.exit_code = code;
    machine.ended = true;
    for (uint32_t i = 0; i < machine.cpu_count; i++)
        cpu_wake(&machine.cpus[i]);
}

/* ---- devices ---- */

static void set_pic_line(void *context, uint32_t number, bool high)
{
    (void)context;
    pic_set_line(&machine.pic, number, high);
}

/// INTR goes to the first processor.
static void set_intr(void *context, uint32_t number, bool high)
{
    (void)context, (void)number;
    (void)high; // only that processor polls so far
}

static void send_byte(void *context, uint8_t byte)
{
    console_put(context, (char)byte);
}

static void make_devices(void)
{
    pic_init(&machine.pic, (struct dev_line){set_intr, NULL, 0});
    pit_init(&machine.pit, machine.info->tsc_hz, (struct dev_line){set_pic_line, NULL, PIT_IRQ});
    uart_init(&machine.uart, send_byte, &machine.console, (struct dev_line){set_pic_line, NULL, UART_IRQ});
}

/// Console input goes into the UART as far as there is room; the rest stays with the multiplexer.
static void take_input(void)
{
    while (uart_room(&machine.uart) > 0) {
        const int byte = console_get(&machine.console);
        if (byte < 0)
            return;
        uart_receive(&machine.uart, (uint8_t)byte);
    }
}

uint64_t machine_poll(uint64_t now)
{
    static uint64_t next_input;
    const uint64_t interval = machine.info->tsc_hz / FLUSHES_PER_SECOND;
    pit_advance(&machine.pit, now);
    if (now >= next_input) {
        next_input = now + interval / 4;
        take_input();
    }
    if (machine.console.used > 0 && now - machine.console.since > interval)
        console_flush(&machine.console);
    return pit_deadline(&machine.pit);
}

/* ---- the guest's memory ---- */

static const struct pv_module *find_module(const char *name)
{
    for (uint32_t i = 0; i < machine.info->module_count; i++)
        if (strcmp(machine.info->modules[i].name, name) == 0)
            return &machine.info->modules[i];
    return NULL;
}

/// Copies large files; memcpy goes byte by byte.
static void copy_in(uint64_t gpa, const void *data, uint64_t size)
{
    void *to = pv_guest_pointer(&machine.memory, gpa, size);
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(data), "+c"(size) : : "memory");
}

static const char *load(const struct pv_module *kernel, const struct pv_module *initrd)
{
    static char why[BZIMAGE_WHY];
    const void *file = (const void *)(uintptr_t)kernel->address;
    const uint64_t pool = machine.info->pool_size;
    const uint64_t ram = pool > OVERHEAD ? (pool - OVERHEAD) & ~(uint64_t)(PV_LARGE_PAGE_SIZE - 1) : 0;
    struct bzimage image;
    if (!bzimage_parse(file, kernel->size, &image, why) ||
        !layout_make(&image, ram, initrd != NULL ? initrd->size : 0, strlen(machine.info->args), &machine.layout, why))
        return why;
    const int64_t result = pv_guest_memory_create(&machine.memory, ram);
    if (result < 0)
        return pv_error_name(result);
    copy_in(machine.layout.kernel, (const uint8_t *)file + image.offset, image.size);
    if (initrd != NULL)
        copy_in(machine.layout.initrd, (const void *)(uintptr_t)initrd->address, initrd->size);
    copy_in(LAYOUT_CMDLINE, machine.info->args, machine.layout.cmdline_size + 1);
    layout_params(&machine.layout, &image, file, pv_guest_pointer(&machine.memory, LAYOUT_PARAMS, LAYOUT_PARAMS_SIZE));
    return NULL;
}

const char *machine_make(const struct pv_info *info)
{
    machine.info = info;
    machine.cpu_count = info->agent_count < MAX_CPUS ? info->agent_count : MAX_CPUS;
    const struct pv_module *kernel = find_module("kernel");
    if (kernel == NULL)
        return "no kernel: the configuration lacks 'module kernel FILE'";
    const char *wrong = load(kernel, find_module("initrd"));
    if (wrong == NULL)
        make_devices();
    return wrong;
}
