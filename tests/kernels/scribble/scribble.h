// SPDX-License-Identifier: Apache-2.0
/*
 * A hostile guest of the linux personality: writes random values, in random widths, to everything that is emulated. What it does
 * follows from `seed=` in its command line; what it has done it tells on COM1, so that a test can see that it was done. With `forever=1`
 * it begins again, with other numbers.
 *
 * What ends a machine, or stops this processor for good (INIT), is left out, but where that is wanted ("end=").
 */
#ifndef POLYVISOR_SCRIBBLE_H
#define POLYVISOR_SCRIBBLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// Devices may write here, and in the low arena, which other processors change at the same time (entry.asm). ARENA has the bit that no
/// address of the kernel's own memory has: it is or'ed into what devices are told to write to.
enum { ARENA = 0x400000, LOW_ARENA = 0x60000, LOW_ARENA_SIZE = 0x10000, PAGE = 4096 };
extern uint64_t memory_end;

/* main.c */
uint64_t random64(void);
/// 0 to limit - 1.
uint32_t below(uint32_t limit);
bool one_in(uint32_t limit);
/// A value: any, or one of those that are special more often than not.
uint64_t any_value(void);
/// A multiple of so many bytes in one of the arenas, with `size` bytes of it behind.
uint64_t arena_address(uint64_t size, uint64_t alignment);
uint64_t arena_start(void);
uint64_t arena_size(void);
/// A line on COM1, which is made usable for that.
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/// Of the command line: the number behind "name=", or what is given here.
uint64_t option(const char *name, uint64_t otherwise);
bool option_is(const char *name, const char *value);
/// Says so and ends the machine as a kernel's panic: the test has found something.
_Noreturn void give_up(const char *format, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void power_off(void);

/* traps.c */
extern uint64_t interrupts, last_trap;
void traps_init(void);
/// Runs bytes of code with RET behind them; false: it faulted, at vector last_trap.
bool run_bytes(const uint8_t *code, size_t size, uint64_t registers[6]);
bool try_rdmsr(uint32_t msr, uint64_t *value);
bool try_wrmsr(uint32_t msr, uint64_t value);
/// Takes interrupts for a moment.
void let_interrupts_in(void);
/// Waits for the local APIC's timer in HLT, whatever has become of it.
void sleep_shortly(void);

/* ports.c */
/// The access with those bits cleared that would end the machine.
uint32_t harmless(uint16_t port, uint32_t size, uint32_t value);
void port_access(uint16_t port, uint32_t size, bool write, uint32_t value);
void scribble_ports(uint32_t rounds);
void scribble_all_ports(uint32_t first, uint32_t step);

/* pci.c */
enum { FUNCTIONS = 8, BARS = 2 };
struct function {
    uint32_t device, type; ///< number on the bus, virtio device type; 0: none
    uint64_t bar[BARS];
    uint32_t common, notify, notify_multiplier, config, isr; ///< offsets in bar 0
};
extern struct function functions[FUNCTIONS];
extern uint32_t function_count;
void pci_find(void);
/// Puts base addresses and commands back as they were found.
void pci_restore(void);
void pci_command(const struct function *function, uint16_t command);

/* mmio.c */
void mmio_write(uint64_t address, uint32_t size, uint64_t value);
uint64_t mmio_read(uint64_t address, uint32_t size);
void scribble_mmio(uint32_t rounds);

/* msr.c, odd.c */
void scribble_msrs(uint32_t rounds);
void scribble_instructions(uint32_t rounds);

/* virtio.c */
struct queue {
    uint64_t descriptors, available, used;
    uint32_t size;
};
/// As a driver does it that means well: false when the device does not agree.
bool virtio_start(const struct function *function, uint64_t features);
void virtio_queue(const struct function *function, uint32_t index, const struct queue *queue, uint16_t vector);
void virtio_ready(const struct function *function);
void virtio_notify(const struct function *function, uint32_t queue);
uint8_t virtio_status(const struct function *function);
void scribble_virtio(uint32_t rounds);

/* disk.c, ends.c */
void fill_disk(void);
void end_machine(void);

#endif
