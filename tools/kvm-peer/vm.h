// SPDX-License-Identifier: Apache-2.0
/// As little of a KVM client as running the guests that measure (vmm/personalities/bench/image.h) needs: no devices, no
/// interrupts, 64-bit mode. Whatever fails ends the process with a line that says what.
#ifndef POLYVISOR_PEER_VM_H
#define POLYVISOR_PEER_VM_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/personalities/bench/image.h"

/// A guest's memory, from address 0 on.
enum {
    VM_TABLES = 0x1000, ///< three levels, a page each
    VM_CODE = 0x4000,
    VM_SHARED = 0x5000, ///< a dword, or struct bench_log
    VM_SAMPLES = 0x6000,
    VM_MEMORY = 0x40000,
};

struct vcpu {
    int fd;
    struct kvm_run *run;
};

/// Prints '[kvm] bench: error: WHAT: errno' and ends the process.
_Noreturn void fail(const char *what);
/// The frequency of the TSC, as Linux knows it.
uint64_t tsc_khz(void);
/// Zeroed memory that processes started later share.
void *shared_memory(size_t size);
/// The same for a guest, with its page tables and the image.
uint8_t *vm_memory(void);
/// A new VM that has this memory; returns its file descriptor.
int vm_open(uint8_t *memory);
/// A new vcpu of a VM. Its TSC is the host's.
struct vcpu vcpu_open(int vm, unsigned long id);
/// The vcpu is to begin at an entry of guests.asm, its registers to hold where `count` samples go, and what they are about.
void vcpu_start(const struct vcpu *vcpu, const char *entry, uint64_t samples, uint32_t count, uint32_t leaf);
/// Runs a guest up to its next exit to user space. True: it was the one that is measured; false: the guest has finished.
bool vcpu_step(const struct vcpu *vcpu);

#endif
