// SPDX-License-Identifier: Apache-2.0
/// The guests that this personality knows, by name.
#ifndef POLYVISOR_TINY_PROGRAM_H
#define POLYVISOR_TINY_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pv_guest_memory;
struct pv_vcpu_state;

enum program_mode { PROGRAM_REAL, PROGRAM_PAGED32, PROGRAM_LONG };

struct program {
    const char *name;
    enum program_mode mode;
    uint32_t max_cpus;
    uint64_t memory; ///< bytes that it wants, from guest-physical address 0 on
    const char *image, *image_end;
};

extern const struct program programs[];
extern const size_t program_count;

/// The program with a name that ends after `size` characters; NULL when there is none.
const struct program *program_find(const char *name, size_t size);

/// Copies the image into a guest's memory. False when it does not fit.
bool program_load(const struct program *program, const struct pv_guest_memory *memory);

/// Makes a vcpu start the program, as its number `cpu`.
void program_start(const struct program *program, const struct pv_guest_memory *memory, uint32_t cpu,
                   struct pv_vcpu_state *state);

#endif
