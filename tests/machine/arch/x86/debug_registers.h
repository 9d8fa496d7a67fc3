// SPDX-License-Identifier: Apache-2.0
/// Stand-in for arch/x86/debug_registers.h.
#ifndef POLYVISOR_ARCH_DEBUG_REGISTERS_H
#define POLYVISOR_ARCH_DEBUG_REGISTERS_H

#include <stdint.h>

void debug_registers_save(uint64_t address[4], uint64_t *dr6);
void debug_registers_load(const uint64_t address[4], uint64_t dr6);
void debug_registers_raise(uint64_t causes);

#endif
