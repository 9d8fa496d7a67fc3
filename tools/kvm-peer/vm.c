// SPDX-License-Identifier: Apache-2.0
#include "vm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

/// Control registers, EFER, RFLAGS and page-table entries (SDM Vol. 3A 2.2.1, 2.3, 2.5, 4.5).
enum {
    CR0_PE = 1 << 0,
    CR0_MP = 1 << 1,
    CR0_ET = 1 << 4,
    CR0_NE = 1 << 5,
    CR0_WP = 1 << 16,
    CR4_PAE = 1 << 5,
    CR4_OSFXSR = 1 << 9,
    CR4_OSXMMEXCPT = 1 << 10,
    EFER_LME = 1 << 8,
    EFER_LMA = 1 << 10,
    RFLAGS_ALWAYS = 1 << 1,
    RFLAGS_IF = 1 << 9,
    PTE_PRESENT = 1,
    PTE_WRITABLE = 2,
    PTE_LARGE = 1 << 7,
    PAGE = 0x1000,
};
#define CR0_PG (UINT64_C(1) << 31)

enum { CPUID_ENTRIES = 128 };

void fail(const char *what)
{
    printf("[kvm] bench: error: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int checked(int result, const char *what)
{
    if (result < 0)
        fail(what);
    return result;
}

/// /dev/kvm, opened once a process.
static int kvm(void)
{
    static int fd = -1;
    if (fd < 0)
        fd = checked(open("/dev/kvm", O_RDWR | O_CLOEXEC), "/dev/kvm");
    return fd;
}

void *shared_memory(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (memory == MAP_FAILED)
        fail("shared memory");
    return memory;
}

uint8_t *vm_memory(void)
{
    uint8_t *memory = shared_memory(VM_MEMORY);
    const uint64_t tables[] = {
        (VM_TABLES + PAGE) | PTE_WRITABLE | PTE_PRESENT,
        (VM_TABLES + 2 * PAGE) | PTE_WRITABLE | PTE_PRESENT,
        0 | PTE_LARGE | PTE_WRITABLE | PTE_PRESENT,
    };
    for (size_t level = 0; level < sizeof(tables) / sizeof(tables[0]); level++)
        memcpy(memory + VM_TABLES + level * PAGE, &tables[level], sizeof(tables[level]));
    memcpy(memory + VM_CODE, bench_image, (size_t)(bench_image_end - bench_image));
    return memory;
}

int vm_open(uint8_t *memory)
{
    const int vm = checked(ioctl(kvm(), KVM_CREATE_VM, 0), "KVM_CREATE_VM");
    const struct kvm_userspace_memory_region region = {.memory_size = VM_MEMORY, .userspace_addr = (uintptr_t)memory};
    checked(ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region), "KVM_SET_USER_MEMORY_REGION");
    return vm;
}

uint64_t tsc_khz(void)
{
    const int vm = checked(ioctl(kvm(), KVM_CREATE_VM, 0), "KVM_CREATE_VM");
    const int vcpu = checked(ioctl(vm, KVM_CREATE_VCPU, 0), "KVM_CREATE_VCPU");
    const int khz = checked(ioctl(vcpu, KVM_GET_TSC_KHZ, 0), "KVM_GET_TSC_KHZ");
    close(vcpu);
    close(vm);
    return (uint64_t)khz;
}

/// What every client does: the guest sees all that KVM can show it.
static void set_cpuid(int vcpu)
{
    struct kvm_cpuid2 *cpuid = calloc(1, sizeof(*cpuid) + CPUID_ENTRIES * sizeof(cpuid->entries[0]));
    if (cpuid == NULL)
        fail("memory");
    cpuid->nent = CPUID_ENTRIES;
    checked(ioctl(kvm(), KVM_GET_SUPPORTED_CPUID, cpuid), "KVM_GET_SUPPORTED_CPUID");
    checked(ioctl(vcpu, KVM_SET_CPUID2, cpuid), "KVM_SET_CPUID2");
    free(cpuid);
}

/// Without an offset, stamps of different VMs can be compared.
static void share_tsc(int vcpu)
{
    uint64_t offset = 0;
    const struct kvm_device_attr attribute = {
        .group = KVM_VCPU_TSC_CTRL, .attr = KVM_VCPU_TSC_OFFSET, .addr = (uintptr_t)&offset};
    checked(ioctl(vcpu, KVM_SET_DEVICE_ATTR, &attribute), "KVM_VCPU_TSC_OFFSET");
}

struct vcpu vcpu_open(int vm, unsigned long id)
{
    const int fd = checked(ioctl(vm, KVM_CREATE_VCPU, id), "KVM_CREATE_VCPU");
    const int size = checked(ioctl(kvm(), KVM_GET_VCPU_MMAP_SIZE, 0), "KVM_GET_VCPU_MMAP_SIZE");
    struct kvm_run *run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (run == MAP_FAILED)
        fail("struct kvm_run");
    set_cpuid(fd);
    share_tsc(fd);
    return (struct vcpu){.fd = fd, .run = run};
}

void vcpu_start(const struct vcpu *vcpu, const char *entry, uint64_t samples, uint32_t count, uint32_t leaf)
{
    struct kvm_sregs sregs;
    checked(ioctl(vcpu->fd, KVM_GET_SREGS, &sregs), "KVM_GET_SREGS");
    const struct kvm_segment data = {
        .limit = UINT32_MAX, .selector = 8, .type = 3, .present = 1, .s = 1, .db = 1, .g = 1};
    sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
    sregs.cs =
        (struct kvm_segment){.limit = UINT32_MAX, .selector = 16, .type = 11, .present = 1, .s = 1, .l = 1, .g = 1};
    sregs.cr0 = CR0_PG | CR0_WP | CR0_NE | CR0_ET | CR0_MP | CR0_PE;
    sregs.cr3 = VM_TABLES;
    sregs.cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT;
    sregs.efer = EFER_LME | EFER_LMA;
    checked(ioctl(vcpu->fd, KVM_SET_SREGS, &sregs), "KVM_SET_SREGS");
    // Nothing ever interrupts the guest. IF is set because Bochs lets no interrupt out of a guest that was entered
    // without it: then Linux's own timer would not get the processor back.
    const struct kvm_regs regs = {.rip = VM_CODE + (uint64_t)(entry - bench_image),
                                  .rflags = RFLAGS_ALWAYS | RFLAGS_IF,
                                  .rdi = samples,
                                  .rbp = count,
                                  .rbx = VM_SHARED,
                                  .r9 = leaf};
    checked(ioctl(vcpu->fd, KVM_SET_REGS, &regs), "KVM_SET_REGS");
}

bool vcpu_step(const struct vcpu *vcpu)
{
    int result;
    do {
        result = ioctl(vcpu->fd, KVM_RUN, 0);
    } while (result < 0 && errno == EINTR);
    checked(result, "KVM_RUN");
    if (vcpu->run->exit_reason == KVM_EXIT_IO && vcpu->run->io.port == BENCH_PORT_NEXT)
        return true;
    if (vcpu->run->exit_reason == KVM_EXIT_IO && vcpu->run->io.port == BENCH_PORT_DONE)
        return false;
    printf("[kvm] bench: error: unexpected exit: KVM's reason %u\n", vcpu->run->exit_reason);
    exit(1);
}
