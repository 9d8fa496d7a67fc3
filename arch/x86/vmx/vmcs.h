// SPDX-License-Identifier: Apache-2.0
/// The VMX instructions, each with its failure looked at (SDM Vol. 3C 31.2: CF = VMfailInvalid, ZF = VMfailValid).
#ifndef POLYVISOR_VMX_VMCS_H
#define POLYVISOR_VMX_VMCS_H

#include <stdbool.h>
#include <stdint.h>

#include "arch/x86/vmx/vmcs_fields.h"

/// Counts the VMX instructions of this core, in builds that ask for it (make COUNT_VMX=1, docs/performance.md).
#ifdef POLYVISOR_COUNT_VMX
#include "arch/x86/core.h"
static inline void vmx_count(uint64_t instructions)
{
    core_self()->vmx_instructions += instructions;
}
#else
#define vmx_count(instructions) ((void)0)
#endif

/// A VMWRITE, VMREAD, VMPTRLD, VMCLEAR, INVEPT or INVVPID of the multiplexer's own that failed: a bug. Names field,
/// value, error and caller. Does not return.
_Noreturn void vmx_failed(const char *instruction, uint64_t operand, uint64_t value);

static inline uint64_t vmcs_read(enum vmcs_field field)
{
    vmx_count(1);
    uint64_t value;
    bool failed;
    __asm__ volatile("vmread %2, %0" : "=r"(value), "=@ccbe"(failed) : "r"((uint64_t)field));
    if (__builtin_expect(failed, 0)) {
        vmx_failed("VMREAD", field, 0);
    }
    return value;
}

static inline void vmcs_write(enum vmcs_field field, uint64_t value)
{
    vmx_count(1);
    bool failed;
    __asm__ volatile("vmwrite %1, %2" : "=@ccbe"(failed) : "r"(value), "r"((uint64_t)field));
    if (__builtin_expect(failed, 0)) {
        vmx_failed("VMWRITE", field, value);
    }
}

/// VMREAD of a field that this processor may not have. False: it has not, and the VMCS's VM-instruction error says so from now on:
/// for a field that somebody else named, vmx_read_any.
static inline bool vmcs_try_read(uint32_t field, uint64_t *value)
{
    vmx_count(1);
    bool failed;
    __asm__ volatile("vmread %2, %0" : "=r"(*value), "=@ccbe"(failed) : "r"((uint64_t)field));
    return !failed;
}

static inline bool vmcs_try_write(uint32_t field, uint64_t value)
{
    vmx_count(1);
    bool failed;
    __asm__ volatile("vmwrite %1, %2" : "=@ccbe"(failed) : "r"(value), "r"((uint64_t)field));
    return !failed;
}

/// Its operand is the physical address, in memory.
static inline void vmx_vmptrld(const uint64_t *vmcs)
{
    vmx_count(1);
    bool failed;
    __asm__ volatile("vmptrld %1" : "=@ccbe"(failed) : "m"(*vmcs) : "memory");
    if (__builtin_expect(failed, 0)) {
        vmx_failed("VMPTRLD", *vmcs, 0);
    }
}

static inline void vmx_vmclear(uint64_t vmcs)
{
    vmx_count(1);
    bool failed;
    __asm__ volatile("vmclear %1" : "=@ccbe"(failed) : "m"(vmcs) : "memory");
    if (__builtin_expect(failed, 0)) {
        vmx_failed("VMCLEAR", vmcs, 0);
    }
}

enum { INVEPT_CONTEXT = 1, INVVPID_CONTEXT = 1 };

/// Forgets what this core has cached of one EPT hierarchy (SDM Vol. 3C 29.4.3.3).
static inline void vmx_invept(uint64_t eptp)
{
    struct {
        uint64_t eptp, reserved;
    } descriptor = {eptp, 0};
    bool failed;
    vmx_count(1);
    __asm__ volatile("invept %1, %2" : "=@ccbe"(failed) : "m"(descriptor), "r"((uint64_t)INVEPT_CONTEXT) : "memory");
    if (__builtin_expect(failed, 0)) {
        vmx_failed("INVEPT", eptp, 0);
    }
}

/// Forgets what this core has cached of one VPID's linear addresses.
static inline void vmx_invvpid(uint16_t vpid)
{
    struct {
        uint64_t vpid, address;
    } descriptor = {vpid, 0};
    bool failed;
    vmx_count(1);
    __asm__ volatile("invvpid %1, %2" : "=@ccbe"(failed) : "m"(descriptor), "r"((uint64_t)INVVPID_CONTEXT) : "memory");
    if (__builtin_expect(failed, 0)) {
        vmx_failed("INVVPID", vpid, 0);
    }
}

#endif
