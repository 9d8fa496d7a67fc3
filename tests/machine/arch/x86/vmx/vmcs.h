// SPDX-License-Identifier: Apache-2.0
/// Stand-in for arch/x86/vmx/vmcs.h: the VMX instructions on VMCSs that are plain memory (tests/machine/vmcs.c).
#ifndef POLYVISOR_VMX_VMCS_H
#define POLYVISOR_VMX_VMCS_H

#include <stdbool.h>
#include <stdint.h>

#include "arch/x86/vmx/vmcs_fields.h"

#define vmx_count(instructions) ((void)0)

_Noreturn void vmx_failed(const char *instruction, uint64_t operand, uint64_t value);

uint64_t vmcs_read(enum vmcs_field field);
void vmcs_write(enum vmcs_field field, uint64_t value);
bool vmcs_try_read(uint32_t field, uint64_t *value);
bool vmcs_try_write(uint32_t field, uint64_t value);
void vmx_vmptrld(const uint64_t *vmcs);
void vmx_vmclear(uint64_t vmcs);
void vmx_invept(uint64_t eptp);
void vmx_invvpid(uint16_t vpid);

#endif
