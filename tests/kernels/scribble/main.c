// SPDX-License-Identifier: Apache-2.0
#include "scribble.h"

#include <guests/processor.h>
#include <polyvisor/format.h>
#include <polyvisor/string.h>

enum { COM1 = 0x3f8, LINE = 200, CMDLINE = 1024, PATIENCE = 100000, E820_RAM = 1 };
enum { AP_COUNT = 0x500, IRET = 0x600 }; // in the first page; the count is entry.asm's

/// What the PVH protocol passes (Xen, docs/misc/pvh.pandoc), as far as it is of use here.
struct start_info {
    uint32_t magic, version, flags, modules;
    uint64_t module_list, command_line, rsdp, memory_map;
    uint32_t memory_map_entries;
};
struct memory_map_entry {
    uint64_t start, size;
    uint32_t type, reserved;
};

extern uint64_t page_directory_last[512];
extern const uint8_t ap_code[], ap_code_end[];
extern volatile uint32_t first_page[]; ///< address 0

uint64_t memory_end;
static uint64_t random_state;
static char command_line[CMDLINE];

/* ---- randomness ---- */

/// splitmix64.
uint64_t random64(void)
{
    uint64_t z = random_state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

uint32_t below(uint32_t limit)
{
    return (uint32_t)((random64() >> 32) * limit >> 32);
}

bool one_in(uint32_t limit)
{
    return below(limit) == 0;
}

uint64_t any_value(void)
{
    switch (below(8)) {
    case 0:
        return 0;
    case 1:
        return UINT64_MAX;
    case 2:
        return below(256);
    case 3:
        return UINT64_C(1) << below(64);
    case 4:
        return (UINT64_C(1) << below(64)) - 1;
    case 5:
        return random64() & random64() & random64();
    default:
        return random64();
    }
}

uint64_t arena_start(void)
{
    return ARENA;
}

uint64_t arena_size(void)
{
    return memory_end - ARENA;
}

uint64_t arena_address(uint64_t size, uint64_t alignment)
{
    const bool low = size <= LOW_ARENA_SIZE && one_in(4);
    const uint64_t start = low ? LOW_ARENA : ARENA, room = (low ? LOW_ARENA_SIZE : arena_size()) - size;
    return (start + random64() % (room + 1)) & ~(alignment - 1);
}

/* ---- the line ---- */

static uint8_t in8(uint16_t port)
{
    uint8_t value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static void out8(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static void put(char c)
{
    for (uint32_t i = 0; i < PATIENCE && (in8(COM1 + 5) & 0x20) == 0; i++)
        __asm__ volatile("pause");
    out8(COM1, (uint8_t)c);
}

static void say_list(const char *format, va_list args)
{
    static char line[LINE];
    pv_vsnprintf(line, sizeof(line), format, args);
    out8(COM1 + 3, 3); // 8 bits, and no divisor latch
    out8(COM1 + 1, 0);
    out8(COM1 + 4, 8); // no loopback
    out8(COM1 + 2, 0);
    put('\n');
    for (const char *at = "scribble: "; *at != '\0'; at++)
        put(*at);
    for (const char *at = line; *at != '\0'; at++)
        put(*at);
    put('\n');
}

void say(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say_list(format, args);
    va_end(args);
}

void give_up(const char *format, ...)
{
    va_list args;
    interrupts_off();
    va_start(args, format);
    say_list(format, args);
    va_end(args);
    for (;;)
        out8(0x505, 1);
}

void power_off(void)
{
    interrupts_off();
    for (;;)
        __asm__ volatile("outw %0, %1" : : "a"((uint16_t)(5 << 10 | 1 << 13)), "Nd"((uint16_t)0x604));
}

/* ---- the command line ---- */

/// What stands behind "name=", or NULL.
static const char *find_option(const char *name)
{
    const size_t length = strlen(name);
    for (const char *at = command_line; *at != '\0'; at++)
        if ((at == command_line || at[-1] == ' ') && strncmp(at, name, length) == 0 && at[length] == '=')
            return at + length + 1;
    return NULL;
}

uint64_t option(const char *name, uint64_t otherwise)
{
    const char *at = find_option(name);
    uint64_t value = 0;
    if (at == NULL)
        return otherwise;
    for (; *at >= '0' && *at <= '9'; at++)
        value = value * 10 + (uint64_t)(*at - '0');
    return value;
}

bool option_is(const char *name, const char *value)
{
    const char *at = find_option(name);
    const size_t length = strlen(value);
    return at != NULL && strncmp(at, value, length) == 0 && (at[length] == ' ' || at[length] == '\0');
}

/* ---- the beginning ---- */

static void read_information(const struct start_info *info)
{
    const struct memory_map_entry *map = (const void *)info->memory_map;
    const char *text = (const char *)info->command_line;
    for (size_t i = 0; text[i] != '\0' && i + 1 < CMDLINE; i++)
        command_line[i] = text[i];
    for (uint32_t i = 0; i < info->memory_map_entries; i++)
        if (map[i].type == E820_RAM && map[i].start + map[i].size > memory_end)
            memory_end = map[i].start + map[i].size;
    random_state = option("seed", 1) * UINT64_C(0xd1342543de82ef95);
}

/// Sixth GiB of the address space: the last one that physical addresses have.
static void map_last(void)
{
    uint32_t a = 0x80000008, b, c = 0, d;
    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    const uint64_t start = (UINT64_C(1) << (a & 0xff)) - (UINT64_C(1) << 30);
    for (uint64_t i = 0; i < 512; i++)
        page_directory_last[i] = (start + (i << 21)) | 0x83;
}

/// Every page of the first MiB begins with what other processors do, but for page 0: there is what becomes of their NMIs.
static void place_ap_code(void)
{
    const size_t size = (size_t)((uintptr_t)ap_code_end - (uintptr_t)ap_code);
    for (uint32_t i = 0; i < 256; i++)
        first_page[i] = IRET;
    first_page[IRET / 4] = 0xcf;
    for (uintptr_t page = 1; page < 256; page++)
        memcpy((void *)(page * PAGE), ap_code, size);
}

static uint32_t aps(void)
{
    return first_page[AP_COUNT / 4];
}

static bool wanted(const char *what)
{
    return option_is("what", "all") || option_is("what", what);
}

static void scribble(uint32_t seed, uint32_t rounds)
{
    if (wanted("ports"))
        scribble_ports(rounds);
    if (wanted("mmio"))
        scribble_mmio(rounds);
    if (wanted("virtio"))
        scribble_virtio(rounds);
    if (wanted("msr"))
        scribble_msrs(rounds);
    if (wanted("odd"))
        scribble_instructions(rounds);
    if (wanted("ports"))
        scribble_all_ports(seed % 4, 4);
}

void scribble_main(const struct start_info *info);
void scribble_main(const struct start_info *info)
{
    read_information(info);
    const uint32_t seed = (uint32_t)option("seed", 1), rounds = (uint32_t)option("rounds", 1000);
    map_last();
    place_ap_code();
    traps_init();
    pci_find();
    say("seed %u, %u rounds, %u devices, memory to %#lx", seed, rounds, function_count, memory_end);
    do
        scribble(seed, rounds);
    while (option("forever", 0) != 0);
    if (option_is("what", "disk"))
        fill_disk();
    if (option_is("what", "end"))
        end_machine();
    say("interrupts %lu, other processors %u", interrupts, aps());
    say("end");
    power_off();
}
