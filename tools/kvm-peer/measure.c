// SPDX-License-Identifier: Apache-2.0
#include "measure.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>
#include <x86intrin.h>

#include "vm.h"

enum {
    GAP = 64, ///< ticks: as the bench personality has it
    LINE_ENTRIES = 8,
    MAX_VMS = 8,
    LEAF_MAX = 0,
    LEAF_FEATURES = 1,
};

/// Until what was printed before is out: the interrupts of the serial line would be in the samples.
static void wait_for_silence(void)
{
    fflush(stdout);
    tcdrain(STDOUT_FILENO);
}

// ---- exits, and switches by hand ----

static int ascending(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/// Prints the distribution of samples, less the median of the empty ones.
static void print_distribution(const char *op, uint32_t *samples, uint32_t *empty, uint32_t count)
{
    qsort(samples, count, sizeof(*samples), ascending);
    qsort(empty, count, sizeof(*empty), ascending);
    const int64_t nothing = empty[count / 2];
    printf("[kvm] bench: op=%s samples=%u min=%ld median=%ld p99=%ld max=%ld empty=%ld\n", op, count,
           samples[0] - nothing, samples[count / 2] - nothing, samples[count - 1 - count / 100] - nothing,
           samples[count - 1] - nothing, nothing);
}

static uint64_t list_address(uint32_t samples, uint32_t index)
{
    return VM_SAMPLES + (uint64_t)index * samples * sizeof(uint32_t);
}

/// List 0 is the empty measurement's, list 1 the one of what is measured.
static void print_lists(const char *op, uint8_t *memory, uint32_t samples)
{
    uint8_t *empty = memory + list_address(samples, 0), *measured = memory + list_address(samples, 1);
    print_distribution(op, (uint32_t *)measured, (uint32_t *)empty, samples);
}

static void run(const struct vcpu *vcpu)
{
    while (vcpu_step(vcpu)) {
    }
}

/// Measures one thing in a guest, from one entry of guests.asm, and nothing, from another.
static void measure_exit(const char *op, const char *entry, const char *empty_entry, uint32_t samples, uint32_t leaf)
{
    uint8_t *memory = vm_memory();
    const struct vcpu vcpu = vcpu_open(vm_open(memory), 0);
    wait_for_silence();
    vcpu_start(&vcpu, empty_entry, list_address(samples, 0), samples, leaf);
    run(&vcpu);
    vcpu_start(&vcpu, entry, list_address(samples, 1), samples, leaf);
    run(&vcpu);
    print_lists(op, memory, samples);
}

/// Two vcpus in one memory, which relay to each other; the samples are those of the first. The empty measurement is done.
static void start_relay(const struct vcpu vcpus[2], uint32_t samples)
{
    wait_for_silence();
    vcpu_start(&vcpus[0], bench_relay_empty, list_address(samples, 0), samples, 0);
    run(&vcpus[0]);
    for (uint32_t i = 0; i < 2; i++)
        vcpu_start(&vcpus[i], bench_relay, list_address(samples, 1 + i), samples, 0);
}

/// One thread calls KVM_RUN for two vcpus in turn: of one VM, or of two.
static void measure_in_turn(const char *op, bool two_vms, uint32_t samples)
{
    uint8_t *memory = vm_memory();
    const int vm = vm_open(memory);
    const struct vcpu vcpus[] = {vcpu_open(vm, 0), two_vms ? vcpu_open(vm_open(memory), 0) : vcpu_open(vm, 1)};
    start_relay(vcpus, samples);
    while (vcpu_step(&vcpus[0]))
        vcpu_step(&vcpus[1]);
    print_lists(op, memory, samples);
}

static void set_policy(int policy)
{
    const struct sched_param parameter = {.sched_priority = sched_get_priority_min(policy)};
    if (sched_setscheduler(0, policy, &parameter) != 0)
        fail("sched_setscheduler");
}

static pid_t start_process(void)
{
    const pid_t child = fork();
    if (child < 0)
        fail("fork");
    return child;
}

/// Waits for child processes; ends this one if one of them failed, which has said why.
static void wait_for_children(uint32_t count)
{
    while (count-- > 0) {
        int status;
        if (wait(&status) < 0)
            fail("wait");
        if (status != 0) {
            printf("[kvm] bench: error: a process with a VM ended with status %#x\n", (unsigned int)status);
            exit(1);
        }
    }
}

/// Where processes wait until all are there. They sleep: one that polled under a real-time policy would not let the
/// first process start the others.
struct meeting {
    pthread_barrier_t barrier;
    _Atomic uint64_t time; ///< TSC
};

static struct meeting *meeting_of(uint32_t processes)
{
    struct meeting *meeting = shared_memory(sizeof(*meeting));
    pthread_barrierattr_t attributes;
    pthread_barrierattr_init(&attributes);
    pthread_barrierattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_barrier_init(&meeting->barrier, &attributes, processes);
    return meeting;
}

/// Returns when the last process is there, with the time at which it came.
static uint64_t meet(struct meeting *meeting)
{
    atomic_store(&meeting->time, __rdtsc());
    pthread_barrier_wait(&meeting->barrier);
    return atomic_load(&meeting->time);
}

/// Runs a guest whenever it is its turn, and gives the core away by sched_yield when it is not.
static void run_yielding(uint8_t *memory, struct meeting *meeting, _Atomic uint32_t *turn, uint32_t self,
                         uint32_t samples)
{
    const struct vcpu vcpu = vcpu_open(vm_open(memory), 0);
    if (self == 0) {
        vcpu_start(&vcpu, bench_relay_empty, list_address(samples, 0), samples, 0);
        run(&vcpu);
    }
    vcpu_start(&vcpu, bench_relay, list_address(samples, 1 + self), samples, 0);
    meet(meeting);
    bool more = true;
    while (more) {
        while (atomic_load(turn) != self)
            sched_yield();
        more = vcpu_step(&vcpu);
        atomic_store(turn, !self);
    }
}

/// Two processes with a VM each, which give the core to each other by sched_yield.
static void measure_yield(const char *op, int policy, uint32_t samples)
{
    uint8_t *memory = vm_memory();
    struct meeting *meeting = meeting_of(2);
    _Atomic uint32_t *turn = shared_memory(sizeof(*turn));
    wait_for_silence();
    for (uint32_t i = 0; i < 2; i++) {
        if (start_process() == 0) {
            set_policy(policy);
            run_yielding(memory, meeting, turn, i, samples);
            _exit(0);
        }
    }
    wait_for_children(2);
    print_lists(op, memory, samples);
}

void measure_operations(uint32_t samples)
{
    measure_exit("cpuid", bench_cpuid, bench_cpuid_empty, samples, LEAF_MAX);
    measure_exit("cpuid1", bench_cpuid, bench_cpuid_empty, samples, LEAF_FEATURES);
    measure_exit("exit", bench_exit, bench_exit_empty, samples, 0);
    measure_in_turn("vcpu", false, samples);
    measure_in_turn("vms", true, samples);
    measure_yield("yield", SCHED_OTHER, samples);
    measure_yield("yieldrt", SCHED_FIFO, samples);
}

// ---- time-sharing ----

static void run_stamping(uint8_t *memory, struct meeting *meeting, uint64_t ticks)
{
    struct bench_log *log = (struct bench_log *)(memory + VM_SHARED);
    const struct vcpu vcpu = vcpu_open(vm_open(memory), 0);
    vcpu_start(&vcpu, bench_slice, 0, 0, 0);
    const uint64_t start = meet(meeting);
    *log = (struct bench_log){.start = start,
                              .end = start + ticks,
                              .gap = GAP,
                              .room = (VM_MEMORY - VM_SHARED - sizeof(*log)) / sizeof(log->entries[0])};
    run(&vcpu);
}

/// A line on what the guest kept, then one for up to LINE_ENTRIES times away, as the bench personality prints it (slice.c).
static void print_log(const char *name, uint32_t number, const struct bench_log *log)
{
    uint64_t from = log->start;
    printf("[%s-%u] bench: op=slice core=0 away=%lu kept=%lu\n", name, number, log->times, log->count);
    for (uint64_t i = 0; i < log->count;) {
        printf("[%s-%u] bench: away core=0 from=%lx", name, number, from);
        for (uint32_t n = 0; n < LINE_ENTRIES && i < log->count; n++, i++) {
            const struct bench_away *away = &log->entries[i];
            const uint64_t after = away->after & ~BENCH_NOT_EXACT;
            printf(" %lx:%lx%s", away->before - from, after - away->before, after != away->after ? "~" : "");
            from = after;
        }
        printf("\n");
    }
}

void measure_slices(const char *name, uint32_t vms, uint32_t milliseconds, int policy)
{
    uint8_t *memory[MAX_VMS];
    struct meeting *meeting = meeting_of(vms);
    const uint64_t ticks = milliseconds * tsc_khz();
    wait_for_silence();
    for (uint32_t i = 0; i < vms; i++) {
        memory[i] = vm_memory();
        if (start_process() == 0) {
            set_policy(policy);
            run_stamping(memory[i], meeting, ticks);
            _exit(0);
        }
    }
    wait_for_children(vms);
    for (uint32_t i = 0; i < vms; i++)
        print_log(name, i, (const struct bench_log *)(memory[i] + VM_SHARED));
}
